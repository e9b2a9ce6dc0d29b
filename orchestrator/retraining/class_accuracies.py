"""Store a candidate's accuracy on each class, measured on the gate's held-out images.

The accuracies are stored as a file next to the lineage, in the teacher's version. A registry tag
would be too short for a thousand classes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from orchestrator.config.roles import ROLES, Role

CLASS_ACCURACIES_FILE = "class_accuracies.json"


@dataclass(frozen=True)
class ClassAccuracies:
    """Number of held-out images by class, and number of correct predictions by class and role.

    Attributes:
        num_images: Number of images of each class, in the order of learning.
        num_correct: Number of correct predictions for each class, in the order of learning; one
            sequence for each role.
    """

    num_images: Sequence[int] = ()
    num_correct: Mapping[Role, Sequence[int]] = field(default_factory=dict)

    def accuracy(self, role: Role, label: int) -> float | None:
        """Return a class's accuracy in [0, 1]; None if the class has no held-out image.

        Args:
            role: Role whose accuracy to return.
            label: Number of the class, counted from 0 in the order of learning.
        """
        num_images = self.num_images[label]
        return self.num_correct[role][label] / num_images if num_images else None


def class_accuracies(
    labels: Sequence[int], predictions: Mapping[Role, Sequence[int]]
) -> ClassAccuracies:
    """Count each class's images and correct predictions.

    Args:
        labels: True class of each image. Classes are numbered from 0 in the order of learning.
        predictions: Predicted class of each image; one sequence for each role.
    """
    num_classes = max(labels, default=-1) + 1
    images = Counter(labels)
    correct = {
        role: Counter(
            label for label, found in zip(labels, predicted, strict=True) if label == found
        )
        for role, predicted in predictions.items()
    }
    return ClassAccuracies(
        [images[label] for label in range(num_classes)],
        {
            role: [of_role[label] for label in range(num_classes)]
            for role, of_role in correct.items()
        },
    )


def write_class_accuracies(folder: Path, accuracies: ClassAccuracies) -> None:
    """Write a candidate's accuracy on each class to a file in a folder; create a missing folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(accuracies), separators=(",", ":"))
    (folder / CLASS_ACCURACIES_FILE).write_text(text, encoding="utf-8")


def read_class_accuracies(path: Path) -> ClassAccuracies | None:
    """Read the accuracies that `write_class_accuracies` wrote; return None if the file is
    corrupt.
    """
    try:
        values = json.loads(path.read_bytes())
        num_images = [int(number) for number in values["num_images"]]
        num_correct = {role: [int(it) for it in values["num_correct"][role]] for role in ROLES}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if any(len(of_role) != len(num_images) for of_role in num_correct.values()):
        return None
    return ClassAccuracies(num_images, cast("Mapping[Role, Sequence[int]]", num_correct))
