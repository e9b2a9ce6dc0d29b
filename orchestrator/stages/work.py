"""A run's work: what is to be computed, and all that its results depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.data import Scenario
from orchestrator.errors import StorageUnavailableError
from orchestrator.evaluation.label_doubt import LabelBeliefs
from orchestrator.methods.method import ArtifactContext, Model
from orchestrator.models.artifact import Artifact
from orchestrator.stages.artifacts import NOT_UNDERSTOOD, from_artifact
from orchestrator.stages.evaluation import Evaluation
from orchestrator.stages.graph import Stage, evaluation_key
from orchestrator.stages.label_beliefs import beliefs_from, beliefs_key
from orchestrator.stages.store import StageStore
from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class Work:
    """An experiment cut into stages.

    Attributes:
        experiment: The configuration.
        scenario: The data.
        stages: In an order in which they can be computed.
        store: Where they are kept.
        learned: Stages that were computed earlier and are only built on.
        judges_labels: Whether the last model of each role says what it makes of the labels of the
            training images.
    """

    experiment: Experiment
    scenario: Scenario
    stages: Sequence[Stage]
    store: StageStore
    learned: Sequence[Stage] = ()
    judges_labels: bool = False

    @property
    def final_stages(self) -> dict[Role, Stage]:
        """The last task's stages."""
        return {stage.role: stage for stage in self.stages}

    def judges_labels_by(self, stage: Stage) -> bool:
        """Return whether a stage's model judges the labels of the training images."""
        return self.judges_labels and self.final_stages[stage.role].key == stage.key

    def artifact_of(self, stage: Stage) -> Artifact:
        """What is stored of a stage that has been computed.

        Raises:
            StorageUnavailableError: It is not in the store (any more), or the store cannot be read.
        """
        artifact = self.store.load(stage.key)
        if artifact is None:
            raise self._is_gone(stage.name)
        return artifact

    def model_from(self, artifact: Artifact, stage: Stage, device: torch.device) -> Model:
        """The model that a stage's artifact was made of.

        Raises:
            StorageUnavailableError: The artifact is no such model's: it is moved aside.
        """
        context = ArtifactContext(stage.role, self.experiment, self.scenario.shape, device)
        with self._understood(stage.key, stage.name):
            return from_artifact(artifact, context)
        raise self._is_gone(stage.name)

    def evaluation_of(self, stage: Stage) -> Evaluation:
        """The stored evaluation of a stage that has been computed.

        Raises:
            StorageUnavailableError: It is not in the store (any more), or the store cannot be read.
        """
        found = self._evaluation(stage)
        if found is None:
            raise self._is_gone(f"the evaluation of {stage.name}")
        return found

    def worker_seconds_of(self, stage: Stage) -> float:
        """Return the worker-seconds of a computed stage, whoever has computed it, without tables of
        features that others read as well; 0 where the store does not say.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        values = self.store.values_of(stage.key) or {}
        seconds, num = values.get("seconds_without_features", 0.0), values.get("num_train_workers")
        return float(seconds * (num or 1))

    def beliefs_of(self, stage: Stage) -> LabelBeliefs:
        """Return what the model of a computed stage makes of the training labels.

        Raises:
            StorageUnavailableError: It is not in the store (any more), or the store cannot be read.
        """
        found = self._beliefs(stage)
        if found is None:
            raise self._is_gone(f"what {stage.name} makes of the labels")
        return found

    def stored_values(self, stage: Stage) -> dict[str, Any] | None:
        """A stage's plain values, if it and all that is found out with its model are in the store,
        whole; what is damaged is moved aside.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        artifact = self.store.load(stage.key)
        if artifact is None or self._reports_in(artifact, stage) is None:
            return None
        judged = not self.judges_labels_by(stage) or self._beliefs(stage) is not None
        return artifact.values if judged and self._evaluation(stage) is not None else None

    def is_stored(self, stage: Stage) -> bool:
        """Whether a stage and all that is found out with its model are in the store, whole.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        return self.stored_values(stage) is not None

    def _evaluation(self, stage: Stage) -> Evaluation | None:
        key = evaluation_key(stage, self.scenario)
        artifact = self.store.load(key)
        if artifact is not None:
            with self._understood(key, f"the evaluation of {stage.name}"):
                return Evaluation.from_artifact(artifact)
        return None

    def _beliefs(self, stage: Stage) -> LabelBeliefs | None:
        key = beliefs_key(stage, self.scenario)
        artifact = self.store.load(key)
        if artifact is not None:
            with self._understood(key, f"what {stage.name} makes of the labels"):
                return beliefs_from(artifact)
        return None

    def _reports_in(self, artifact: Artifact, stage: Stage) -> list[EpochReport] | None:
        reports = None
        with self._understood(stage.key, stage.name):
            reports = [EpochReport(**report) for report in artifact.values["epochs"]]
        return reports  # noqa: RET504 - None where the `with` has caught an error

    @contextmanager
    def _understood(self, key: str, name: str) -> Iterator[None]:
        """Move an artifact aside that is whole, and from which nothing can be made: whoever has
        written it has computed a checksum as well.
        """
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except NOT_UNDERSTOOD as error:
            self.store.move_aside(key, name, " ".join(str(error).split())[:200])

    def _is_gone(self, what: str) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"{what} has been stored and is gone or damaged",
            where=self.store.uri,
            next_step="run the same command again: what is missing is computed anew",
        )
