"""Describe a registered version of a student model, for lists of versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ListedVersion:
    """A version of a student model in the model registry.

    Attributes:
        model: The registered model's name.
        version: Version number.
        aliases: Aliases of the version.
        state: State that a retraining gave the version, such as `champion`; empty if no
            retraining registered the version.
        reason: Reason for the state; empty if not recorded.
        decided_by: Person or gate that decided the state; empty if not recorded.
        run_id: Id of the run that trained the version; empty if unknown.
        experiment: Name of the MLflow experiment with that run; empty if the run is deleted.
        created: Time of registration.
        tags: All tags of the version.
    """

    model: str
    version: str
    aliases: Sequence[str]
    state: str
    reason: str
    decided_by: str
    run_id: str
    experiment: str
    created: datetime
    tags: Mapping[str, str]

    @property
    def num_classes(self) -> int | None:
        """Return the number of classes that the model has learned; None if no tag records it."""
        text = self.tags.get("num_classes", "")
        return int(text) if text.isdecimal() else None

    @property
    def last_accuracy(self) -> float | None:
        """Return the model's accuracy on all classes after its last task, in [0, 1]; None if no tag
        records the accuracy.
        """
        try:
            return float(self.tags.get("last_accuracy", ""))
        except ValueError:
            return None
