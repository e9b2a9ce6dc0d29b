"""A version of the model registry as a list shows it: values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ListedVersion:
    """A version of a student in the registry.

    Attributes:
        model: The registered model's name.
        version: Its number.
        aliases: Of the version.
        state: As its tag has it; empty where no retraining has registered it.
        reason: Why it has that state; empty where nobody said.
        decided_by: Who decided it; empty where that is not recorded.
        run_id: The run that has learned it; empty where it is not known.
        experiment: The MLflow experiment of that run; empty where the run is deleted.
        created: When it was registered.
        tags: All its tags.
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
        """Return how many classes it knows; None where its tags do not say."""
        text = self.tags.get("num_classes", "")
        return int(text) if text.isdecimal() else None

    @property
    def last_accuracy(self) -> float | None:
        """Return its last accuracy, in [0, 1]; None where its tags do not say."""
        try:
            return float(self.tags.get("last_accuracy", ""))
        except ValueError:
            return None
