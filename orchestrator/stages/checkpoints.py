"""Keep a stage's epoch checkpoints in the stage store, where any process or cluster that computes
the stage later finds them.
"""

from __future__ import annotations

import logging

from orchestrator.errors import StorageUnavailableError
from orchestrator.models.artifact import Artifact
from orchestrator.stages.artifacts import NOT_UNDERSTOOD
from orchestrator.stages.store import StageStore
from orchestrator.training.checkpoints import EpochCheckpoint
from orchestrator.training.reports import EpochReport

logger = logging.getLogger(__name__)

_MODULES = "modules."
_OPTIMIZER = "optimizer."


class StoreCheckpoints:
    """Store the newest checkpoint of each phase of one stage."""

    def __init__(self, store: StageStore, key: str) -> None:
        """Keep the arguments without accessing the store.

        Args:
            store: Store of the checkpoints.
            key: Key of the stage.
        """
        self._store = store
        self._key = key

    def restore(self, phase: str) -> EpochCheckpoint | None:
        """Return the newest checkpoint of a phase; None if it is missing or corrupt."""
        artifact = self._store.load_progress(self._key, phase)
        if artifact is None:
            return None
        try:
            return _from_artifact(artifact)
        except NOT_UNDERSTOOD as error:
            logger.warning("ignoring the epoch checkpoint of %s: %s", phase, error)
            return None

    def save(self, phase: str, checkpoint: EpochCheckpoint) -> None:
        """Store a checkpoint. If the store fails, training continues, but cannot be resumed from
        this checkpoint.
        """
        try:
            self._store.save_progress(self._key, phase, _to_artifact(checkpoint))
        except StorageUnavailableError as error:
            logger.warning(
                "epoch %d of %s has no checkpoint: %s", len(checkpoint.reports), phase, error
            )


def _to_artifact(checkpoint: EpochCheckpoint) -> Artifact:
    tensors = {f"{_MODULES}{name}": tensor for name, tensor in checkpoint.modules.items()}
    for parameter, state in checkpoint.optimizer["state"].items():
        tensors |= {f"{_OPTIMIZER}{parameter}.{name}": tensor for name, tensor in state.items()}
    values = {
        "reports": [report.as_json() for report in checkpoint.reports],
        "parameter_groups": checkpoint.optimizer["param_groups"],
        "lr_scheduler": dict(checkpoint.lr_scheduler),
    }
    return Artifact(tensors, values)


def _from_artifact(artifact: Artifact) -> EpochCheckpoint:
    modules = {
        name.removeprefix(_MODULES): tensor
        for name, tensor in artifact.tensors.items()
        if name.startswith(_MODULES)
    }
    state: dict[int, dict[str, object]] = {}
    for name, tensor in artifact.tensors.items():
        if name.startswith(_OPTIMIZER):
            parameter, _, quantity = name.removeprefix(_OPTIMIZER).partition(".")
            state.setdefault(int(parameter), {})[quantity] = tensor
    optimizer = {"state": state, "param_groups": artifact.values["parameter_groups"]}
    reports = tuple(EpochReport(**report) for report in artifact.values["reports"])
    return EpochCheckpoint(reports, modules, optimizer, artifact.values["lr_scheduler"])
