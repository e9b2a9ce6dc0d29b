"""Epoch checkpoints: what an interrupted training needs to end as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class EpochCheckpoint:
    """One training after some of its epochs. Random streams are not part of it: they derive from
    the step.

    Attributes:
        reports: Of the epochs that are done.
        modules: State of all that is trained.
        optimizer: State of the optimiser.
        lr_scheduler: State of the learning-rate schedule.
    """

    reports: tuple[EpochReport, ...]
    modules: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    lr_scheduler: Mapping[str, Any]


@runtime_checkable
class EpochCheckpoints(Protocol):
    """Where one stage's epoch checkpoints are kept. A stage may train in several phases, one after
    the other.
    """

    def restore(self, phase: str) -> EpochCheckpoint | None:
        """The newest checkpoint of a phase; None when there is none."""

    def save(self, phase: str, checkpoint: EpochCheckpoint) -> None:
        """Keeps a checkpoint in place of the one before."""


class NoCheckpoints:
    """Keeps nothing: for trainings that nobody goes on with."""

    def restore(self, phase: str) -> EpochCheckpoint | None:
        """Finds nothing."""
        return None

    def save(self, phase: str, checkpoint: EpochCheckpoint) -> None:
        """Forgets it."""
