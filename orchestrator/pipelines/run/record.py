"""What a run has found out so far, and the summary it becomes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.data import Scenario, Split
from orchestrator.evaluation import (
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    last_accuracy,
    plasticity,
)
from orchestrator.evaluation.classification import agreement
from orchestrator.stages import Stage
from orchestrator.stages.evaluation import Evaluation
from orchestrator.stages.events import StageFinished


@dataclass(frozen=True)
class StageResult:
    """A computed stage.

    Attributes:
        stage: Which.
        finished: How it came about: seconds, workers, whether it was in the store already.
        evaluation: How good its model is.
    """

    stage: Stage
    finished: StageFinished
    evaluation: Evaluation

    @property
    def worker_seconds(self) -> float:
        """What computing it has cost in this run."""
        return (
            0.0 if self.finished.cached else self.finished.seconds * self.finished.num_train_workers
        )


@dataclass
class RunRecord:
    """Grows by one stage after another.

    Attributes:
        run_id: MLflow's.
        experiment: What is run.
        scenario: On which data.
        name: What the run is called.
        results: The stages computed so far, by role, in the order of their tasks.
    """

    run_id: str
    experiment: Experiment
    scenario: Scenario
    name: str = ""
    results: dict[Role, list[StageResult]] = field(
        default_factory=lambda: {"teacher": [], "student": []}
    )
    started: float = field(default_factory=time.perf_counter)

    def add(self, result: StageResult) -> None:
        """Takes a stage in."""
        self.results[result.stage.role].append(result)

    def matrix(self, role: Role, split: Split = Split.TEST) -> list[list[float]]:
        """The accuracy matrix so far: row i has i + 1 entries; of tasks learned earlier as it was
        measured then.
        """
        learned = self.experiment.scenario.learned
        earlier = (
            ()
            if learned is None
            else {"teacher": learned.teacher_accuracies, "student": learned.student_accuracies}[
                role
            ]
        )
        of_earlier_tasks = [list(row) for row in earlier] if split == Split.TEST else []
        return of_earlier_tasks + [
            result.evaluation.rows[split]
            for result in self.results[role]
            if split in result.evaluation.rows
        ]

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        stages = [
            result
            for pair in zip(self.results["teacher"], self.results["student"], strict=True)
            for result in pair
        ]
        return {
            "run_id": self.run_id,
            "experiment": self.experiment.name,
            "method": self.experiment.method.kind,
            "seed": self.experiment.seed,
            "dataset": {
                "name": self.scenario.table.name,
                "fingerprint": self.scenario.table.fingerprint,
            },
            "tasks": [
                {"index": task.index, "classes": self.scenario.labels_of(task)}
                for task in self.scenario.tasks
            ],
            "teacher": self._of_role("teacher"),
            "student": self._of_role("student"),
            "agreement": [
                agreement(teacher.evaluation.predictions, student.evaluation.predictions)
                for teacher, student in zip(
                    self.results["teacher"], self.results["student"], strict=True
                )
            ],
            "stages": [
                {
                    "name": r.stage.name,
                    "key": r.stage.key,
                    "cached": r.finished.cached,
                    "seconds": round(r.finished.seconds, 3),
                }
                for r in stages
            ],
            "wall_seconds": round(time.perf_counter() - self.started, 3),
            "worker_seconds": round(sum(result.worker_seconds for result in stages), 3),
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
            "sample_accuracy": [result.evaluation.sample_accuracy for result in self.results[role]],
            "validation_accuracy_matrix": validation or None,
            "num_parameters": self.results[role][-1].evaluation.num_parameters,
            **self._details_of(role),
        }

    def _details_of(self, role: Role) -> dict[str, list[float | None]]:
        """What the method says about its models, task by task."""
        details = [result.evaluation.details for result in self.results[role]]
        names = dict.fromkeys(name for of_task in details for name in of_task)
        return {name: [of_task.get(name) for of_task in details] for name in names}
