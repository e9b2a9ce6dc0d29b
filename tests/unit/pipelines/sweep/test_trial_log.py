"""A trial with one seed logs the metric points of a run; with several seeds, their means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.data import Split
from orchestrator.pipelines.run.run import run
from orchestrator.pipelines.sweep.trial_log import TrialLog, mean_points
from orchestrator.stages import Preparation, prepare_work
from orchestrator.stages.claims import NO_CLAIMS
from orchestrator.tracking import InMemoryTracker, names
from orchestrator.tracking.tracker import MetricPoint
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialShare
from orchestrator.tuning.trial import TaskReport, TrialInProcess

OBJECTIVE = Objective({"student/last_accuracy": 1.0}, Split.VALIDATION)
NUM_TASKS = 3
# only these differ between a run and a trial that find the same stages in the store
CLOCKS = {names.FINAL_WALL_SECONDS, names.FINAL_WORKER_SECONDS}


@pytest.fixture(scope="module")
def seeds(
    tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> list[Experiment]:
    store = {"uri": str(tmp_path_factory.mktemp("store"))}
    return [
        Experiment.model_validate({**tiny_experiment.model_dump(), "store": store, "seed": seed})
        for seed in (0, 1)
    ]


def reports_of(experiments: Sequence[Experiment]) -> list[TaskReport]:
    share = TrialShare.of(experiments[0].execution)
    trial = TrialInProcess(experiments, OBJECTIVE, share, NO_CLAIMS, Preparation())
    return [trial.learn_next_task() for _ in range(NUM_TASKS)]


def logged(experiments: Sequence[Experiment], reports: Sequence[TaskReport]) -> InMemoryTracker:
    """Return the tracker of a finished trial that has sent these reports."""
    tracker = InMemoryTracker()
    log = TrialLog(tracker, [prepare_work(experiment) for experiment in experiments])
    for report in reports:
        log.report(report)
    log.finish()
    return tracker


def of_a_run(tracker: InMemoryTracker) -> list[MetricPoint]:
    """Return the points without the trial's own metrics, and without clocks."""
    left_out = {*names.TRIAL_METRICS, *CLOCKS}
    return [point for point in tracker.metrics if point.name not in left_out]


def test_a_trial_of_one_seed_logs_exactly_the_points_of_a_run(
    seeds: list[Experiment], tmp_path: Path
) -> None:
    experiment, alone = seeds[0], InMemoryTracker()
    reports_of([experiment])  # now both find every stage in the store
    run(experiment, tmp_path / "out", tracker=alone)
    trial = logged([experiment], reports_of([experiment]))
    assert of_a_run(trial) == of_a_run(alone)  # metrics, steps, values and order
    assert {point.name for point in alone.metrics} == set(names.all_metrics(NUM_TASKS))
    assert trial.parameters == alone.parameters
    assert trial.tags == alone.tags
    assert trial.datasets == alone.datasets


def test_a_trial_of_two_seeds_logs_the_mean_of_two_runs(
    seeds: list[Experiment], tmp_path: Path
) -> None:
    trial = logged(seeds, reports_of(seeds))
    runs = [InMemoryTracker(), InMemoryTracker()]
    for experiment, tracker in zip(seeds, runs, strict=True):
        run(experiment, tmp_path / f"out {experiment.seed}", tracker=tracker)
    cached = {names.FINAL_CACHED_STAGES}
    values = [
        {(point.name, point.step): point.value for point in of_a_run(tracker)} for tracker in runs
    ]
    for point in of_a_run(trial):
        if point.name not in cached:
            one, other = (of_seed.pop((point.name, point.step)) for of_seed in values)
            assert point.value == (one + other) / 2
    assert {name for of_seed in values for name, _ in of_seed} == cached  # and nothing else
    assert trial.tags["orchestrator.seed"] == "0, 1"


def test_reports_repeated_by_a_restarted_trial_add_only_their_objective(
    seeds: list[Experiment],
) -> None:
    reports = reports_of(seeds)
    once, twice = logged(seeds, reports), logged(seeds, [*reports[:2], *reports])
    assert of_a_run(twice) == of_a_run(once)


def test_points_of_a_faster_seed_wait_for_the_others(seeds: list[Experiment]) -> None:
    reports = reports_of(seeds)
    tracker = InMemoryTracker()
    log = TrialLog(tracker, [prepare_work(experiment) for experiment in seeds])
    ahead = [
        *reports[0].events,
        *((seed, event) for report in reports[1:] for seed, event in report.events if seed == 0),
    ]
    log.report(TaskReport(1, NUM_TASKS, 0.5, ahead, 0, 0, 0.0, 0.0))
    assert [step for step, _ in tracker.history("student/accuracy")] == [1]
    behind = [(1, event) for seed, event in reports[1].events if seed == 1]
    log.report(TaskReport(2, NUM_TASKS, 0.5, behind, 0, 0, 0.0, 0.0))
    assert [step for step, _ in tracker.history("student/accuracy")] == [1, 2]


def test_only_points_that_all_seeds_have_get_a_mean() -> None:
    first = [MetricPoint("loss", 1.0, 1), MetricPoint("loss", 2.0, 2), MetricPoint("push", 5.0, 1)]
    second = [MetricPoint("push", 7.0, 1), MetricPoint("loss", 4.0, 2), MetricPoint("kdr", 9.0, 1)]
    assert mean_points([first, second]) == [
        MetricPoint("loss", 3.0, 2),
        MetricPoint("push", 6.0, 1),
    ]
    assert mean_points([first]) == first
