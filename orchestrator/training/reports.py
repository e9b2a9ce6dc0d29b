"""Define the report of one training epoch, and the type of the listener that receives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EpochReport:
    """The report of one finished epoch.

    Attributes:
        phase: Name of the training for display: "extractor", "embedding", "student".
        epoch: Number of the epoch, counted from 1 within the phase.
        num_epochs: Number of epochs of the phase.
        metrics: Means of `loss` and its parts over the epoch's batches.
    """

    phase: str
    epoch: int
    num_epochs: int
    metrics: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values, for an artifact."""
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "num_epochs": self.num_epochs,
            "metrics": dict(self.metrics),
        }


EpochListener = Callable[[EpochReport], None]


def ignore_epochs(report: EpochReport) -> None:
    """Discard a report."""
