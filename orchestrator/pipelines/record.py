"""What a run has found out so far, and the summary it becomes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from orchestrator.config.experiment import Experiment
from orchestrator.data import Scenario, Split
from orchestrator.evaluation import (
    accuracies,
    agreement,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    last_accuracy,
    plasticity,
)
from orchestrator.models import AnyNetwork
from orchestrator.models.network import predict
from orchestrator.stages import Model, Role, Stage
from orchestrator.teacher import TeacherModel

Rows = dict[Split, list[float]]


@dataclass(frozen=True)
class StageResult:
    """A computed stage.

    Attributes:
        stage: Which.
        seconds: Wall-clock time of its computation.
        cached: Whether it came from the stage store.
        rows: Accuracy on every seen task, by split.
        sample_accuracy: Accuracy over all seen test samples.
        predictions: Predicted class of every seen test sample.
        refinement_strength: How much of the teacher's refinement its gate let through, in [0, 1]; None for other models.
    """

    stage: Stage
    seconds: float
    cached: bool
    rows: Rows
    sample_accuracy: float
    predictions: Tensor
    refinement_strength: float | None = None


def kept_refinement(model: Model) -> float | None:
    """How much of the refinement a teacher kept."""
    return model.refinement_strength if isinstance(model, TeacherModel) else None


def evaluate(network: AnyNetwork, stage: Stage, scenario: Scenario) -> tuple[Rows, float, Tensor]:
    """A row of the accuracy matrix for test and, where there is any, validation data; sample accuracy and predictions on test data."""
    seen = scenario.tasks[: stage.task.index + 1]
    rows: Rows = {}
    for split in (Split.VALIDATION, Split.TEST):
        data = scenario.images_of(split, range(stage.task.num_seen_classes))
        if not len(data):
            continue
        predictions = predict(network, data.images).argmax(dim=1)
        result = accuracies(predictions, data.labels, [task.new_classes for task in seen])
        rows[split] = result.by_task
    return rows, result.over_samples, predictions


@dataclass
class RunRecord:
    """Grows by one stage after another.

    Attributes:
        run_id: MLflow's.
        experiment: What is run.
        scenario: On which data.
        results: The stages computed so far, by role, in the order of their tasks.
        num_parameters: Of each role's network, as of its last stage.
    """

    run_id: str
    experiment: Experiment
    scenario: Scenario
    results: dict[Role, list[StageResult]] = field(default_factory=lambda: {"teacher": [], "student": []})
    num_parameters: dict[Role, int] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def add(self, result: StageResult, num_parameters: int) -> None:
        """Takes a stage in."""
        self.results[result.stage.role].append(result)
        self.num_parameters[result.stage.role] = num_parameters

    def matrix(self, role: Role, split: Split = Split.TEST) -> list[list[float]]:
        """The accuracy matrix so far: row i has i + 1 entries."""
        return [result.rows[split] for result in self.results[role] if split in result.rows]

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        stages = [result for pair in zip(self.results["teacher"], self.results["student"], strict=True) for result in pair]
        return {
            "run_id": self.run_id,
            "experiment": self.experiment.name,
            "method": self.experiment.method.kind,
            "seed": self.experiment.seed,
            "dataset": {"name": self.scenario.table.name, "fingerprint": self.scenario.table.fingerprint},
            "tasks": [{"index": task.index, "classes": self.scenario.labels_of(task)} for task in self.scenario.tasks],
            "teacher": {**self._of_role("teacher"), "refinement_strength": [r.refinement_strength for r in self.results["teacher"]]},
            "student": self._of_role("student"),
            "agreement": [
                agreement(teacher.predictions, student.predictions)
                for teacher, student in zip(self.results["teacher"], self.results["student"], strict=True)
            ],
            "stages": [{"name": r.stage.name, "key": r.stage.key, "cached": r.cached, "seconds": round(r.seconds, 3)} for r in stages],
            "wall_seconds": round(time.perf_counter() - self.started, 3),
            "worker_seconds": round(sum(result.seconds for result in stages if not result.cached), 3),
        }

    def _of_role(self, role: Role) -> dict[str, Any]:
        matrix = self.matrix(role)
        validation = self.matrix(role, Split.VALIDATION)
        return {
            "accuracy_matrix": matrix,
            "average_incremental_accuracy": average_incremental_accuracy(matrix),
            "last_accuracy": last_accuracy(matrix),
            "forgetting": forgetting(matrix),
            "backward_transfer": backward_transfer(matrix),
            "plasticity": plasticity(matrix),
            "sample_accuracy": [result.sample_accuracy for result in self.results[role]],
            "validation_accuracy_matrix": validation or None,
            "num_parameters": self.num_parameters[role],
        }
