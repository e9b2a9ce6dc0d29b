"""Define a run's work: the stages to compute, and everything that determines their results.

Importing this module does not import torch. Torch is imported by the methods that load models,
evaluations or beliefs (how probable a model considers the labels of the training images).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.data.scenario import Scenario
from orchestrator.errors import StorageUnavailableError
from orchestrator.stages.graph import Stage, evaluation_key
from orchestrator.stages.store import StageStore
from orchestrator.training.reports import EpochReport

if TYPE_CHECKING:  # these imports load torch
    import torch

    from orchestrator.evaluation.label_doubt import LabelBeliefs
    from orchestrator.methods.method import Model
    from orchestrator.models.artifact import Artifact
    from orchestrator.stages.evaluation import Evaluation


@dataclass(frozen=True)
class Work:
    """Stages of an experiment, and everything that is needed to compute them.

    Attributes:
        experiment: The configuration.
        scenario: The data.
        stages: The stages in a possible order of computation.
        store: Store of the results.
        learned: Stages that an earlier run computed. This run continues from their models.
        judges_labels: Whether the last model of each role computes how probable the labels of the
            training images are.
    """

    experiment: Experiment
    scenario: Scenario
    stages: Sequence[Stage]
    store: StageStore
    learned: Sequence[Stage] = ()
    judges_labels: bool = False

    @property
    def final_stages(self) -> dict[Role, Stage]:
        """Return the stages of the last task, by role."""
        return {stage.role: stage for stage in self.stages}

    def judges_labels_by(self, stage: Stage) -> bool:
        """Return whether a stage's model judges the labels of the training images, which means that
        it computes how probable each label is. Only the last model of a role can judge labels.
        """
        return self.judges_labels and self.final_stages[stage.role].key == stage.key

    def artifact_of(self, stage: Stage) -> Artifact:
        """Return the stored artifact of a computed stage.

        Raises:
            StorageUnavailableError: The store lacks the result, or cannot be read.
        """
        artifact = self.store.load(stage.key)
        if artifact is None:
            raise self._is_gone(stage.name)
        return artifact

    def model_from(self, artifact: Artifact, stage: Stage, device: torch.device) -> Model:
        """Rebuild the model of a stage from its artifact.

        Raises:
            StorageUnavailableError: The artifact does not contain a model of this stage. The
                artifact is moved aside, so that it counts as missing.
        """
        from orchestrator.methods.method import ArtifactContext  # noqa: PLC0415 - loads torch
        from orchestrator.stages.artifacts import from_artifact  # noqa: PLC0415

        context = ArtifactContext(stage.role, self.experiment, self.scenario.shape, device)
        with self._understood(stage.key, stage.name):
            return from_artifact(artifact, context)
        raise self._is_gone(stage.name)

    def evaluation_of(self, stage: Stage) -> Evaluation:
        """Return the stored evaluation of a computed stage.

        Raises:
            StorageUnavailableError: The store lacks the result, or cannot be read.
        """
        found = self._evaluation(stage)
        if found is None:
            raise self._is_gone(f"the evaluation of {stage.name}")
        return found

    def worker_seconds_of(self, stage: Stage) -> float:
        """Return the worker-seconds of a computed stage, even if another run has computed the
        stage; 0 if the store has no record.

        The time for feature tables is excluded, because other stages read the same tables.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        values = self.store.values_of(stage.key) or {}
        seconds, num = values.get("seconds_without_features", 0.0), values.get("num_train_workers")
        return float(seconds * (num or 1))

    def beliefs_of(self, stage: Stage) -> LabelBeliefs:
        """Return how probable the model of a computed stage considers the training labels.

        Raises:
            StorageUnavailableError: The store lacks the beliefs, or cannot be read.
        """
        found = self._beliefs(stage)
        if found is None:
            raise self._is_gone(f"the verdict of {stage.name} on the labels")
        return found

    def stored_values(self, stage: Stage) -> dict[str, Any] | None:
        """Return the JSON values of a stage. Return None if the stage, or a result of its model, is
        missing or corrupt in the store. A corrupt artifact is moved aside, and counts as missing.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        artifact = self.store.load(stage.key)
        if artifact is None or self._reports_in(artifact, stage) is None:
            return None
        judged = not self.judges_labels_by(stage) or self._beliefs(stage) is not None
        return artifact.values if judged and self._evaluation(stage) is not None else None

    def is_stored(self, stage: Stage) -> bool:
        """Return whether a stage and all results of its model are in the store and intact.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        return self.stored_values(stage) is not None

    def _evaluation(self, stage: Stage) -> Evaluation | None:
        from orchestrator.stages.evaluation import Evaluation  # noqa: PLC0415 - loads torch

        key = evaluation_key(stage, self.scenario)
        artifact = self.store.load(key)
        if artifact is not None:
            with self._understood(key, f"the evaluation of {stage.name}"):
                return Evaluation.from_artifact(artifact)
        return None

    def _beliefs(self, stage: Stage) -> LabelBeliefs | None:
        from orchestrator.stages.label_beliefs import (  # noqa: PLC0415 - loads torch
            beliefs_from,
            beliefs_key,
        )

        key = beliefs_key(stage, self.scenario)
        artifact = self.store.load(key)
        if artifact is not None:
            with self._understood(key, f"the verdict of {stage.name} on the labels"):
                return beliefs_from(artifact)
        return None

    def _reports_in(self, artifact: Artifact, stage: Stage) -> list[EpochReport] | None:
        reports = None
        with self._understood(stage.key, stage.name):
            reports = [EpochReport(**report) for report in artifact.values["epochs"]]
        return reports  # noqa: RET504 - None where the `with` has caught an error

    @contextmanager
    def _understood(self, key: str, name: str) -> Iterator[None]:
        """Move an artifact aside if the `with` block cannot use its tensors or values. A correct
        checksum does not prevent this error, because a writer can have stored unusable content.
        """
        import torch  # noqa: PLC0415 - slow to import

        from orchestrator.stages.artifacts import NOT_UNDERSTOOD  # noqa: PLC0415

        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except NOT_UNDERSTOOD as error:
            self.store.move_aside(key, name, " ".join(str(error).split())[:200])

    def _is_gone(self, what: str) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"{what} is missing or corrupt in the stage store",
            where=self.store.uri,
            next_step="rerun the same command to recompute it",
        )
