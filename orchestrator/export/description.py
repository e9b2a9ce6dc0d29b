"""Describe an exported model in the metadata of its file. The metadata is the same for every file
format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Description:
    """Information for users who have only the exported file.

    Attributes:
        class_names: Class of each logit, in order.
        shape: (channels, height, width) of the images.
        role: `teacher` or `student`.
        run_id: MLflow id of the run that trained the model.
        experiment: The MLflow experiment of that run.
        dataset: Name of the data set.
    """

    class_names: Sequence[str]
    shape: Shape
    role: str
    run_id: str
    experiment: str
    dataset: str

    def texts(self) -> dict[str, str]:
        """Return the metadata of the file by name; lists are encoded as JSON."""
        return {
            "class_names": json.dumps(list(self.class_names), ensure_ascii=False),
            "input_shape": json.dumps(list(self.shape)),
            "preprocessing": self.preprocessing,
            "role": self.role,
            "run_id": self.run_id,
            "experiment": self.experiment,
            "dataset": self.dataset,
        }

    @property
    def preprocessing(self) -> str:
        """Return a text that says which preprocessing the caller must do, and which the model does
        itself.
        """
        channels, height, width = self.shape
        colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
        return (
            f"give uint8 pixels from 0 to 255, {colours}, channels first, resized to {height} x"
            f" {width} (bilinear); scaling and normalisation are part of the model"
        )
