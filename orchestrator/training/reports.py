"""The report of one training epoch, and the type of its receiver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch.

    Attributes:
        phase: Name of the training, for people: "extractor", "embedding", "student".
        epoch: Counted from 1 within the phase.
        num_epochs: Epochs of the phase.
        metrics: Means over the epoch's batches: `loss` and its parts.
    """

    phase: str
    epoch: int
    num_epochs: int
    metrics: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for an artifact."""
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "num_epochs": self.num_epochs,
            "metrics": dict(self.metrics),
        }


EpochListener = Callable[[EpochReport], None]


def ignore_epochs(report: EpochReport) -> None:
    """Discard reports."""
