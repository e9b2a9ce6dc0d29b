"""One trial in this process: objective per seed, events, and reported cost."""

from pathlib import Path
from statistics import fmean

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.execution import RayConfig
from orchestrator.config.roles import ROLES
from orchestrator.data import Split
from orchestrator.errors import ConfigError
from orchestrator.stages import Preparation, StageRunner, Work, prepare_work
from orchestrator.stages.claims import NO_CLAIMS
from orchestrator.stages.costs_ahead import CostsAhead
from orchestrator.stages.events import EpochFinished, StageFinished, StageListener, event_from_json
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialShare
from orchestrator.tuning.trial import TaskReport, TrialInLanes, TrialInProcess

OBJECTIVE = Objective({"student/last_accuracy": 1.0}, Split.VALIDATION)
NUM_TASKS = 3


@pytest.fixture(scope="module")
def seeds(
    tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> list[Experiment]:
    own = {"store": {"uri": str(tmp_path_factory.mktemp("store"))}}
    return [
        Experiment.model_validate({**tiny_experiment.model_dump(), **own, "seed": seed})
        for seed in (0, 1)
    ]


def trial_of(experiments: list[Experiment]) -> TrialInProcess:
    return TrialInProcess(
        experiments, OBJECTIVE, TrialShare.of(experiments[0].execution), NO_CLAIMS, Preparation()
    )


@pytest.fixture(scope="module")
def reports(seeds: list[Experiment]) -> list[TaskReport]:
    trial = trial_of(seeds)
    return [trial.learn_next_task() for _ in range(NUM_TASKS)]


def test_a_trial_reports_after_every_task_and_marks_the_last(reports: list[TaskReport]) -> None:
    assert [(report.tasks_learned, report.num_tasks, report.is_last) for report in reports] == [
        (1, 3, False),
        (2, 3, False),
        (3, 3, True),
    ]


def test_the_final_students_size_matches_the_prediction(
    reports: list[TaskReport], seeds: list[Experiment]
) -> None:
    preparation, work = Preparation(), prepare_work(seeds[0])
    assert reports
    for role in ROLES:
        [foreseen] = CostsAhead(preparation).of(seeds[0], [f"{role}/num_parameters"]).values()
        assert work.evaluation_of(work.final_stages[role]).num_parameters == foreseen


def test_the_objective_is_the_mean_of_the_stored_accuracies_over_the_seeds(
    reports: list[TaskReport], seeds: list[Experiment]
) -> None:
    for task, report in enumerate(reports):
        last_accuracies = []
        for experiment in seeds:
            work = prepare_work(experiment)
            [stage] = [stage for stage in work.stages if stage.name == f"student[{task}]"]
            row = work.evaluation_of(stage).rows[Split.VALIDATION]
            last_accuracies.append(sum(row) / len(row))
        assert report.objective == pytest.approx(fmean(last_accuracies))


def test_events_of_each_seed_are_its_own_stages_and_epochs_in_order(
    reports: list[TaskReport],
) -> None:
    for task, report in enumerate(reports):
        events = [(seed, event_from_json(event)) for seed, event in report.events]
        finished = [
            (seed, event.stage) for seed, event in events if isinstance(event, StageFinished)
        ]
        assert finished == [
            (seed, f"{role}[{task}]") for seed in (0, 1) for role in ("teacher", "student")
        ]
        epochs = [
            seed
            for seed, event in events
            if isinstance(event, EpochFinished) and event.stage.startswith("student")
        ]
        assert epochs == [0, 0, 1, 1]


def test_a_report_counts_computed_stages_and_their_cost(reports: list[TaskReport]) -> None:
    assert [(report.stages_computed, report.stages_cached) for report in reports] == [
        (4, 0)
    ] * NUM_TASKS
    assert all(0 < report.worker_seconds <= report.seconds for report in reports)


def test_repeating_a_configuration_finds_every_stage_and_costs_nothing(
    reports: list[TaskReport], seeds: list[Experiment]
) -> None:
    trial = trial_of(seeds)
    again = [trial.learn_next_task() for _ in range(NUM_TASKS)]
    assert [report.objective for report in again] == [report.objective for report in reports]
    assert [
        (report.stages_computed, report.stages_cached, report.worker_seconds) for report in again
    ] == [(0, 4, 0)] * NUM_TASKS


def test_another_temperature_shares_only_the_teacher(
    reports: list[TaskReport], seeds: list[Experiment]
) -> None:
    values = seeds[0].model_dump()
    values["student"]["temperature"] = 1.25
    report = trial_of([Experiment.model_validate(values)]).learn_next_task()
    assert (report.stages_computed, report.stages_cached) == (1, 1)


@pytest.mark.parametrize("execution", ["in process", "in lanes"])
def test_an_impossible_backbone_is_a_configuration_error(
    seeds: list[Experiment], execution: str
) -> None:
    values = seeds[0].model_dump()
    values["student"]["backbone"] = {
        "kind": "torchvision",
        "name": "alexnet",
    }  # pools 8x8 images down to nothing
    experiments = [Experiment.model_validate(values)]
    with pytest.raises(
        ConfigError,
        match=(
            r"student\.backbone: the backbone cannot work on images of 1x8x8: .*; choose another"
            r" backbone"
        ),
    ):
        (
            trial_of(experiments)
            if execution == "in process"
            else TrialInLanes(experiments, OBJECTIVE, RayConfig(), "claims", Preparation())
        )


def test_a_report_of_lanes_has_the_events_of_its_task_however_far_ahead_the_teacher_is(
    reports: list[TaskReport], seeds: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    import orchestrator.distributed.lanes

    def teacher_first(
        work: Work, execution: RayConfig, listener: StageListener, claims: str
    ) -> None:
        """Compute in this process, in the most uneven order that lanes allow."""
        runner = StageRunner(work, torch.device("cpu"), listener)
        for stage in sorted(work.stages, key=lambda stage: ROLES.index(stage.role)):
            runner.obtain(stage)

    monkeypatch.setattr(orchestrator.distributed.lanes, "compute_in_lanes", teacher_first)
    trial = TrialInLanes(seeds, OBJECTIVE, RayConfig(), "claims", Preparation())
    in_lanes = [trial.learn_next_task() for _ in range(NUM_TASKS)]
    for task, report in enumerate(in_lanes):
        events = [(seed, event_from_json(event)) for seed, event in report.events]
        finished = {
            (seed, event.stage) for seed, event in events if isinstance(event, StageFinished)
        }
        assert finished == {(seed, f"{role}[{task}]") for seed in (0, 1) for role in ROLES}
        assert {event.stage for _, event in events} == {f"{role}[{task}]" for role in ROLES}
    assert [report.objective for report in in_lanes] == [report.objective for report in reports]
    assert sum(report.stages_cached for report in in_lanes) == 2 * 2 * NUM_TASKS


def test_merged_reports_have_summed_costs_and_the_newest_objective(
    reports: list[TaskReport],
) -> None:
    one = reports[0].followed_by(reports[1:])
    assert (one.tasks_learned, one.objective, one.is_last) == (3, reports[2].objective, True)
    assert one.events == [event for report in reports for event in report.events]
    assert one.stages_computed == 12
    assert one.worker_seconds == pytest.approx(sum(report.worker_seconds for report in reports))


def test_a_report_crosses_a_process_border_as_plain_values(
    reports: list[TaskReport], tmp_path: Path
) -> None:
    import json

    values = json.loads(json.dumps(reports[0].as_json()))
    assert [tuple(event) for event in values.pop("events")] == reports[0].events
    assert TaskReport(**values, events=reports[0].events) == reports[0]
