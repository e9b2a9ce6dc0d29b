"""A run's metric points are a pure function of its events: worked by hand for a matrix of two
tasks, and unaffected by repeated events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.roles import Role
from orchestrator.data import Split
from orchestrator.pipelines.run.points import final_points, points_of
from orchestrator.pipelines.run.record import EpochResult, RunRecord, StageResult
from orchestrator.pipelines.run.run import run
from orchestrator.stages import Stage, StageRunner, Work, prepare_work
from orchestrator.stages.evaluation import Evaluation
from orchestrator.stages.events import StageEvent, StageFinished
from orchestrator.tracking import InMemoryTracker
from orchestrator.tracking.tracker import MetricPoint
from orchestrator.training.reports import EpochReport

NUM_TASKS = 3


class Computed:
    """The tiny experiment, computed once: its work and its events."""

    def __init__(self, experiment: Experiment) -> None:
        self.work: Work = prepare_work(experiment)
        self.events: list[StageEvent] = []
        runner = StageRunner(self.work, torch.device("cpu"), self.events.append)
        for stage in self.work.stages:
            runner.obtain(stage)

    def points_of(self, events: Sequence[StageEvent]) -> list[MetricPoint]:
        record = RunRecord("run", self.work)
        results = [record.take(event) for event in events]
        return [point for result in results if result is not None for point in points_of(result)]


@pytest.fixture(scope="module")
def computed(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    store = {"uri": str(tmp_path_factory.mktemp("store"))}
    return Computed(Experiment.model_validate({**tiny_experiment.model_dump(), "store": store}))


def stage_of(computed: Computed, role: Role, task: int) -> Stage:
    [stage] = [stage for stage in computed.work.stages if stage.name == f"{role}[{task}]"]
    return stage


def values_of(points: Sequence[MetricPoint]) -> dict[str, float]:
    return {point.name: point.value for point in points}


def test_a_row_of_the_accuracy_matrix_gives_the_metrics_up_to_it(computed: Computed) -> None:
    matrix = [[0.75], [0.25, 0.5]]
    evaluation = computed.work.evaluation_of(stage_of(computed, "student", 1))
    finished = StageFinished("student[1]", seconds=2.0, num_train_workers=3, cached=False)
    result = StageResult(stage_of(computed, "student", 1), finished, evaluation, matrix)
    points = points_of(result)
    assert {point.step for point in points} == {2}  # two tasks are learned
    assert values_of(points) == pytest.approx(
        {
            "student/accuracy": (0.25 + 0.5) / 2,
            "student/average_incremental_accuracy": (0.75 + 0.375) / 2,
            "student/forgetting": 0.75 - 0.25,
            "student/backward_transfer": 0.25 - 0.75,
            "student_accuracy/task_00": 0.25,
            "student_accuracy/task_01": 0.5,
            "student_forgetting/task_00": 0.5,
            "student_forgetting/task_01": 0.0,
        }
    )
    assert result.worker_seconds == 6.0


def test_an_epoch_gives_its_known_parts_at_its_step_in_the_lane(computed: Computed) -> None:
    report = EpochReport("student", 1, 2, {"loss": 0.5, "kdr": 0.25, "learning_rate": 0.1})
    result = EpochResult(stage_of(computed, "student", 1), report, num_epochs_of_lane=7)
    assert points_of(result) == [
        MetricPoint("student_training/loss", 0.5, 7),
        MetricPoint("student_training/kdr", 0.25, 7),
    ]


def test_epochs_are_counted_over_all_stages_of_their_lane(computed: Computed) -> None:
    steps = [
        point.step
        for point in computed.points_of(computed.events)
        if point.name == "student_training/loss"
    ]
    assert steps == [*range(1, 2 * NUM_TASKS + 1)]  # two epochs a task


def test_a_stage_adds_its_row_from_the_store(computed: Computed) -> None:
    points = values_of(computed.points_of(computed.events))
    evaluation: Evaluation = computed.work.evaluation_of(stage_of(computed, "teacher", 2))
    row = evaluation.rows[Split.TEST]
    assert [points[f"teacher_accuracy/task_{task:02}"] for task in range(NUM_TASKS)] == row


def test_equal_events_give_equal_points(computed: Computed) -> None:
    assert computed.points_of(computed.events) == computed.points_of(computed.events)


@pytest.mark.parametrize("num_before", [1, 4, 9])
def test_events_repeated_after_a_restart_add_nothing(computed: Computed, num_before: int) -> None:
    repeated = [*computed.events[:num_before], *computed.events]
    assert computed.points_of(repeated) == computed.points_of(computed.events)


def test_a_run_logs_the_points_of_its_events_and_of_its_summary(
    computed: Computed, tmp_path: Path
) -> None:
    tracker = InMemoryTracker()
    summary = run(computed.work.experiment, tmp_path / "out", tracker=tracker).summary
    assert tracker.metrics == [*computed.points_of(computed.events), *final_points(summary)]
    assert len(tracker.metrics) == len({(point.name, point.step) for point in tracker.metrics})
