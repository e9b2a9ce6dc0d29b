"""Record the results of a run, and build the run's summary from the recorded results."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Scenario, Split
from orchestrator.evaluation import (
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    last_accuracy,
    plasticity,
)
from orchestrator.evaluation.certainty import SURE
from orchestrator.evaluation.classification import agreement
from orchestrator.evaluation.confusion import Confusion, count_confusions, most_pairs
from orchestrator.stages import Stage, StageStore, Work
from orchestrator.stages.evaluation import Evaluation
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished
from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class EpochResult:
    """Result of an epoch.

    Attributes:
        stage: The stage of the epoch.
        report: Metrics of the epoch.
        num_epochs_of_lane: Number of epochs that the role has finished so far in all of its stages,
            including this epoch.
    """

    stage: Stage
    report: EpochReport
    num_epochs_of_lane: int


@dataclass(frozen=True)
class StageResult:
    """Result of a stage.

    Attributes:
        stage: The stage.
        finished: Duration and workers of the stage, and whether the stage was a cache hit.
        evaluation: Evaluation of the model after the stage.
        matrix: The role's accuracy matrix on test data, up to this stage.
    """

    stage: Stage
    finished: StageFinished
    evaluation: Evaluation
    matrix: list[list[float]]

    @property
    def worker_seconds(self) -> float:
        """Return the seconds that all workers spent on the stage in this run; 0 for a cache hit."""
        return (
            0.0 if self.finished.cached else self.finished.seconds * self.finished.num_train_workers
        )


Result: TypeAlias = EpochResult | StageResult


class RunRecord:
    """Results of a run, built from its events.

    Attributes:
        run_id: Id of the run in MLflow.
        name: Name of the run.
        experiment: The experiment of the run.
        scenario: Tasks and data of the experiment.
        store: The stage store of the run.
        results: The results of the stages so far, by role, in the order of their tasks.
    """

    def __init__(self, run_id: str, work: Work, name: str = "") -> None:
        """Create a record without results, and start to measure the run's duration.

        Args:
            run_id: The id of the run in MLflow.
            work: The stages to compute, and the store that contains their evaluations.
            name: The name of the run.
        """
        self.run_id = run_id
        self.name = name
        self.experiment: Experiment = work.experiment
        self.scenario: Scenario = work.scenario
        self.store: StageStore = work.store
        self.results: dict[Role, list[StageResult]] = {role: [] for role in ROLES}
        self._work = work
        self._stages = {stage.name: stage for stage in work.stages}
        self._epochs: dict[Role, set[tuple[str, str, int]]] = {role: set() for role in ROLES}
        self._started = time.perf_counter()

    def take(self, event: StageEvent) -> Result | None:
        """Process an event, and return the result that the event adds to the record.

        Returns:
            The result. None if the event has no result, or repeats an earlier event: a restarted
            trial sends the events of its first attempt again.

        Raises:
            StorageUnavailableError: The evaluation of a finished stage cannot be read.
        """
        stage = self._stages[event.stage]
        match event:
            case EpochFinished():
                return self._take_epoch(stage, event.report)
            case StageFinished():
                return self._take_stage(stage, event)
            case _:
                return None

    def _take_epoch(self, stage: Stage, report: EpochReport) -> EpochResult | None:
        known, epoch = self._epochs[stage.role], (stage.name, report.phase, report.epoch)
        if epoch in known:
            return None
        known.add(epoch)
        return EpochResult(stage, report, num_epochs_of_lane=len(known))

    def _take_stage(self, stage: Stage, finished: StageFinished) -> StageResult | None:
        results = self.results[stage.role]
        if any(result.stage == stage for result in results):
            return None
        evaluation = self._work.evaluation_of(stage)
        matrix = [*self.matrix(stage.role), evaluation.rows[Split.TEST]]
        results.append(StageResult(stage, finished, evaluation, matrix))
        return results[-1]

    def matrix(self, role: Role, split: Split = Split.TEST) -> list[list[float]]:
        """Return the accuracy matrix of a role so far; row i has i + 1 entries. The rows of tasks
        that were learned before this run are read from the experiment.
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

    def confusions(self) -> list[Confusion]:
        """Return the confusions of both roles after every task: how many test images of each class
        were predicted as each class.
        """
        scenario = self.scenario
        most = most_pairs(len(scenario.tasks))
        rows: list[Confusion] = []
        for role, results in self.results.items():
            for result in results:
                task = result.stage.task
                labels = scenario.targets_of(Split.TEST, range(task.num_seen_classes))
                rows += count_confusions(
                    (task.index + 1, role),
                    labels.tolist(),
                    result.evaluation.predictions.tolist(),
                    scenario.class_names,
                    most,
                )
        return rows

    def summary(self) -> dict[str, Any]:
        """Return the content of summary.json."""
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
            **self._of_unlabeled(),
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
            "wall_seconds": round(time.perf_counter() - self._started, 3),
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

    def _of_unlabeled(self) -> dict[str, Any]:
        """Return the entry of the summary about unlabelled images. For each class, the entry
        contains the number of images that the last teacher assigns to the class with confidence.
        Return no entry without unlabelled images.
        """
        pool, certainty = self.scenario.unlabeled, self.results["teacher"][-1].evaluation.certainty
        if pool is None or certainty is None:
            return {}
        labels = [label for task in self.scenario.tasks for label in self.scenario.labels_of(task)]
        counts = zip(labels, certainty.assigned.tolist(), certainty.sure.tolist(), strict=True)
        return {
            "unlabeled": {
                "name": pool.table.name,
                "fingerprint": pool.fingerprint,
                "num_images": len(pool),
                "num_left_out": asdict(pool.left_out),
                "sure_from": SURE,
                "classes": [
                    {"class": label, "num_assigned": assigned, "num_sure": sure}
                    for label, assigned, sure in counts
                ],
            }
        }

    def _details_of(self, role: Role) -> dict[str, list[float | None]]:
        """Return the details that the method reports about its models: for each detail, one value
        per task.
        """
        details = [result.evaluation.details for result in self.results[role]]
        names = dict.fromkeys(name for of_task in details for name in of_task)
        return {name: [of_task.get(name) for of_task in details] for name in names}
