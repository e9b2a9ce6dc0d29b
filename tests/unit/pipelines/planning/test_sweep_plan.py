"""The arithmetic of a sweep's plan: cases worked by hand, and counts compared with the stages of
real trials.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from orchestrator import output_files
from orchestrator.config import Experiment, SearchSpace
from orchestrator.config.roles import Role
from orchestrator.data.scenario import Task
from orchestrator.data.scenario_building import build_scenario
from orchestrator.errors import ConfigError
from orchestrator.models.artifact import Artifact
from orchestrator.pipelines.planning import sweep_plan
from orchestrator.pipelines.planning.plan import critical_path_seconds
from orchestrator.pipelines.planning.planned_stages import PlannedStage, PlannedTable, StageState
from orchestrator.pipelines.planning.sweep_cost import SweepCost, TrialStages, sweep_cost
from orchestrator.pipelines.planning.sweep_plan import plan_sweep
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.trials import SweepTrials
from orchestrator.stages import Stage, StageStore, preparation, prepare_work
from orchestrator.tracking import InMemoryTracker
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader
from orchestrator.tuning.share import TrialRoom, TrialShare
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial_status import TrialStatus

TEMPERATURE = {"student.temperature": {"kind": "log_uniform", "low": 1, "high": 8}}
EPOCHS = {"student.training.epochs": {"kind": "int_uniform", "low": 1, "high": 20}}
NUM_TASKS = 3  # of the tiny experiment


@pytest.fixture
def experiment(tiny_experiment: Experiment, tmp_path: Path) -> Iterator[Experiment]:
    with patch.dict(os.environ):  # restore environment variables, which preparing for Ray sets
        yield _with(tiny_experiment, store={"uri": f"{tmp_path}/store"})


def _with(experiment: Experiment, **changes: object) -> Experiment:
    return Experiment.model_validate({**experiment.model_dump(), **changes})


def _space(
    parameters: dict[str, Any], kind: str = "random", num_trials: int | None = 4, **fields: object
) -> SearchSpace:
    values = {
        "name": "test",
        "parameters": parameters,
        "searcher": {"kind": kind},
        "num_trials": num_trials,
        **fields,
    }
    return SearchSpace.model_validate(values)


def _stage(
    role: Role,
    task: int,
    seconds: float | None,
    chain: str,
    teachers: str | None = None,
    workers: int = 1,
) -> PlannedStage:
    """Return a stage of one of several chains; a student may learn from another chain's
    teachers.
    """
    before = (f"{chain} {role}{task - 1}",) if task else ()
    upstream = (*before, f"{teachers or chain} teacher{task}") if role == "student" else before
    stage = Stage(role, Task(task, range(0), 0), f"{chain} {role}{task}", upstream)
    return PlannedStage(
        stage, StageState.TO_COMPUTE, 1, 1, workers, None if seconds is None else seconds * workers
    )


def _trial(
    teacher: Sequence[float], student: Sequence[float], students: str, teachers: str = "t"
) -> list[list[PlannedStage]]:
    """Return the stages of one seed: each task's teacher, then its student."""
    stages: list[PlannedStage] = []
    for task, (of_teacher, of_student) in enumerate(zip(teacher, student, strict=True)):
        stages += [
            _stage("teacher", task, of_teacher, teachers),
            _stage("student", task, of_student, students, teachers),
        ]
    return [stages]


def _room(num_at_once: int | None, in_lanes: bool = False) -> TrialRoom:
    share = TrialShare({"CPU": 1.0}, {"teacher": 1, "student": 1}, in_lanes, uses_gpu=False)
    return TrialRoom(share, {"CPU": 8.0}, num_at_once, "")


# --- cost -----------------------------------------------------------------------------------------

# two trials with the same teacher of 4 s, and students of 3 s and 2 s
PAIR = [_trial([4], [3], "a"), _trial([4], [2], "b")]


@pytest.mark.parametrize(
    ("num_at_once", "stored", "is_shared", "expected"),
    [
        # a: teacher 0-4, student 4-7; b waits for the teacher, student 4-6
        (2, set(), True, SweepCost(3, 9, 7)),
        # both train the teacher: a ends after 7, b after 6
        (2, set(), False, SweepCost(4, 13, 7)),
        # one after another
        (1, set(), True, SweepCost(3, 9, 9)),
        (1, set(), False, SweepCost(4, 13, 13)),
        # only the students remain
        (2, {"t teacher0"}, True, SweepCost(2, 5, 3)),
        (2, {"t teacher0", "a student0", "b student0"}, True, SweepCost(0, 0, 0)),
        # the number of concurrent trials is unknown, or zero
        (None, set(), True, SweepCost(3, 9, None)),
        (0, set(), True, SweepCost(3, 9, None)),
    ],
)
def test_a_stage_is_computed_once_with_sharing_or_by_each_trial_without(
    num_at_once: int | None, stored: set[str], is_shared: bool, expected: SweepCost
) -> None:
    assert sweep_cost(PAIR, _room(num_at_once), stored, is_shared) == expected


def test_a_table_of_features_is_computed_once_and_other_trials_wait_for_it() -> None:
    def trial(name: str, learning: float) -> list[list[PlannedStage]]:
        [[teacher, student]] = _trial([learning], [1], f"student of {name}", f"teacher of {name}")
        return [[replace(teacher, tables=[PlannedTable("table", 100, 10.0)]), student]]

    # a: table 0-10, teacher 10-11, student 11-12; b waits until 11 for the stage that computes the
    # table: teacher 11-13, student 13-14
    trials = [trial("a", 1), trial("b", 2)]
    assert sweep_cost(trials, _room(2)) == SweepCost(4, 15, 14)
    assert sweep_cost(trials, _room(2), {"table"}) == SweepCost(4, 5, 3)
    assert sweep_cost(trials, _room(2), is_shared=False) == SweepCost(4, 25, 13)


def test_a_trial_starts_when_another_ends() -> None:
    # 0-2, 0-3, and the third in the slot of the first: 2-6
    trials = [
        _trial([0], [seconds], f"student of {seconds}", f"teacher of {seconds}")
        for seconds in (2, 3, 4)
    ]
    assert sweep_cost(trials, _room(2)).wall_seconds == 6


def test_a_trial_waits_for_a_stage_in_progress_and_not_for_a_stored_one() -> None:
    # a: teacher 0-2, student 2-3, teacher 3-5, student 5-6; b waits until 2, student 2-9, finds the
    # second teacher, student 9-10
    trials = [_trial([2, 2], [1, 1], "a"), _trial([2, 2], [7, 1], "b")]
    assert sweep_cost(trials, _room(2)) == SweepCost(6, 14, 10)


def test_workers_share_the_work_of_a_stage() -> None:
    assert sweep_cost([[[_stage("teacher", 0, 5.0, "t", workers=4)]]], _room(1)) == SweepCost(
        1, 20.0, 5.0
    )


@pytest.mark.parametrize(
    ("teacher", "student"), [((5, 2, 2), (3, 3, 3)), ((5, 5, 5), (1, 1, 1)), ((1, 9, 1), (4, 1, 7))]
)
def test_a_trial_in_lanes_takes_as_long_as_a_run_and_its_seeds_run_in_sequence(
    teacher: Sequence[float], student: Sequence[float]
) -> None:
    [first], [second] = _trial(teacher, student, "a"), _trial(teacher, student, "b", "u")
    of_a_run = critical_path_seconds(first)
    assert of_a_run is not None
    assert sweep_cost([[first]], _room(1, in_lanes=True)).wall_seconds == of_a_run
    assert sweep_cost([[first, second]], _room(1, in_lanes=True)).wall_seconds == 2 * of_a_run
    assert sweep_cost([[first]], _room(1)).wall_seconds == sum(teacher) + sum(student)


def test_a_trial_in_one_process_trains_each_task_with_every_seed_before_the_next() -> None:
    # seed 0: 0-2, seed 1: 2-4, seed 0: 4-6, …; the other trial needs only the first stage of seed
    # 1, and ends at 4 + 1; the third takes its slot: 5-15
    seeds: TrialStages = [
        [_stage("teacher", task, 2, f"seed {seed}") for task in range(3)] for seed in range(2)
    ]
    other = [[seeds[1][0], _stage("teacher", 1, 1, "other")]]
    third = [[_stage("teacher", 0, 10, "third")]]
    assert sweep_cost([seeds, other, third], _room(2)) == SweepCost(8, 12 + 1 + 10, 15)


def test_without_the_cost_of_a_pending_stage_there_is_no_estimate() -> None:
    trials = [[[_stage("teacher", 0, 3, "t"), _stage("student", 0, None, "t")]]]
    assert sweep_cost(trials, _room(1)) == SweepCost(2, None, None)
    assert sweep_cost(trials, _room(1), {"t student0"}) == SweepCost(1, 3, 3)


# --- counts ---------------------------------------------------------------------------------------


def _keys_of_trials(
    search_space: SearchSpace, experiment: Experiment, folder: Path
) -> list[list[str]]:
    """Return the stages of the trials that a sweep would really start, some of which finish
    meanwhile.
    """
    setting = SweepSetting(search_space, experiment, Space(search_space, experiment), folder)
    trials = SweepTrials(
        setting, Ledger(folder / "ledger.jsonl"), InMemoryTracker(), SilentSweepListener()
    )
    found = []
    while (planned := trials.next_trial()) is not None:
        found.append(
            [stage.key for one in planned.experiments for stage in prepare_work(one).stages]
        )
        if planned.number % 2:
            trials._sampler.tell(trials._configurations[planned.number], 0.5)
    return found


@pytest.mark.parametrize(
    "search_space",
    [
        _space(TEMPERATURE, num_trials=5),
        _space(
            {"teacher.refinement.epochs": {"kind": "choice", "values": [1, 2]}, **EPOCHS},
            num_trials=6,
            seeds=[0, 3],
        ),
        _space(
            {"method.kind": {"kind": "choice", "values": ["dual_teacher", "finetuning", "joint"]}},
            "grid",
            None,
            seeds=[0, 1],
        ),
        _space(
            {"scenario.max_images_per_class": {"kind": "choice", "values": [10, 20]}, **EPOCHS},
            "grid",
            7,
        ),
        _space(
            {
                name: {"kind": "choice", "values": [1, 2, 3]}
                for name in ("student.training.epochs", "teacher.num_views")
            },
            "grid",
            None,
            constraints=["student.training.epochs > teacher.num_views"],
        ),
    ],
    ids=["random", "random, seeds", "methods", "first of a grid", "constrained grid"],
)
def test_planned_stages_are_those_of_the_trials_that_the_sweep_starts(
    search_space: SearchSpace, experiment: Experiment, tmp_path: Path
) -> None:
    trials = _keys_of_trials(search_space, experiment, tmp_path)
    distinct = {key for keys in trials for key in keys}
    found = plan_sweep(search_space, experiment)
    assert (found.num_trials, found.num_planned, found.has_more_combinations) == (
        len(trials),
        len(trials),
        False,
    )
    assert found.by_themselves.num_stages == sum(map(len, trials))
    assert found.shared.num_stages == found.left.num_stages == len(distinct)
    # equal counts alone do not prove equal stages
    store = StageStore(experiment.store.uri)
    first, *others = sorted(distinct)
    for key in others:
        store.save(key, Artifact({}))
    assert plan_sweep(search_space, experiment).left.num_stages == 1
    store.save(first, Artifact({}))
    left = plan_sweep(search_space, experiment).left
    assert left == SweepCost(0, 0, 0)


def test_a_plan_with_the_estimator_is_reproducible_and_changes_with_the_seed(
    experiment: Experiment,
) -> None:
    # whether a teacher's number of views is drawn twice depends on the draws
    views = {"teacher.num_views": {"kind": "int_uniform", "low": 1, "high": 40}, **EPOCHS}
    first, again, *others = (
        plan_sweep(
            _space(views, num_trials=30, searcher={"kind": "optuna", "seed": seed}), experiment
        )
        for seed in (0, 0, 1, 2, 3)
    )
    assert first == again
    assert first.num_planned == first.num_trials == 30
    assert {other.shared.num_stages for other in others} != {first.shared.num_stages}


def test_trials_of_a_warm_start_are_not_planned_again(
    experiment: Experiment, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / output_files.LEDGER_FILE)
    with ledger.writing():
        ledger.begin(SweepHeader("id", {}, {}))
        for number, epochs in enumerate(range(1, 16)):
            known = Configuration(
                {"student.training.epochs": epochs}, {"student.training.epochs": epochs}
            )
            ledger.write(LedgerTrial(number, known, "id", TrialStatus.FINISHED, value=0.5))
    assert plan_sweep(_space(EPOCHS, "grid", None), experiment).num_trials == 20
    assert (
        plan_sweep(_space(EPOCHS, "grid", None, warm_start=str(tmp_path)), experiment).num_trials
        == 5
    )


# --- large sweeps ---------------------------------------------------------------------------------


def test_a_large_sweep_is_extrapolated_without_counting_shared_stages_twice(
    experiment: Experiment,
) -> None:
    found = plan_sweep(_space(TEMPERATURE, num_trials=100_000), experiment)
    assert (found.num_trials, found.num_planned) == (100_000, sweep_plan.MAX_TRIALS)
    assert found.by_themselves.num_stages == 100_000 * 2 * NUM_TASKS
    assert found.shared.num_stages == NUM_TASKS + 100_000 * NUM_TASKS


def test_trials_in_a_small_space_repeat_its_points(experiment: Experiment) -> None:
    found = plan_sweep(
        _space({"student.training.epochs": {"kind": "choice", "values": [1, 2, 3]}}, num_trials=60),
        experiment,
    )
    assert (found.num_trials, found.num_planned) == (60, 60)
    assert found.by_themselves.num_stages == 60 * 2 * NUM_TASKS
    assert found.shared.num_stages == NUM_TASKS + 3 * NUM_TASKS


def test_a_large_grid_is_sampled_evenly(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the last parameter varies fastest: the first 20 of 40 combinations would have only one teacher
    space = _space(
        {"teacher.num_views": {"kind": "choice", "values": [1, 2]}, **EPOCHS}, "grid", None
    )
    exact = plan_sweep(space, experiment)
    assert exact.shared.num_stages == 2 * NUM_TASKS + 40 * NUM_TASKS
    monkeypatch.setattr(sweep_plan, "MAX_TRIALS", 20)
    sampled = plan_sweep(space, experiment)
    assert (sampled.num_trials, sampled.num_planned) == (40, 20)
    assert sampled.shared == exact.shared


@pytest.mark.parametrize(
    ("num_trials", "expected"),
    [(None, (6, True)), (9, (6, True)), (6, (6, False)), (5, (5, False))],
    ids=["all", "9", "6", "5"],
)
def test_a_huge_grid_is_counted_up_to_a_limit(
    num_trials: int | None,
    expected: tuple[int, bool],
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_plan, "MAX_COMBINATIONS", 6)
    found = plan_sweep(_space(EPOCHS, "grid", num_trials), experiment)
    assert (found.num_trials, found.has_more_combinations) == expected


def test_data_are_split_into_tasks_once_per_seed(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def noting(table: Any, config: Any, fraction: float, seed: int) -> Any:  # noqa: ANN401 - handed on
        seeds.append(seed)
        return build_scenario(table, config, fraction, seed)

    monkeypatch.setattr(preparation, "build_scenario", noting)
    plan_sweep(_space(TEMPERATURE, num_trials=10, seeds=[4, 5]), experiment)
    assert seeds == [experiment.seed, 4, 5]


# --- concurrent trials ----------------------------------------------------------------------------


def _ray(**execution: object) -> dict[str, object]:
    return {"kind": "ray", **execution}


@pytest.mark.parametrize(
    ("execution", "most", "expected"),
    [
        ({"kind": "in_process", "num_threads": 1, "device": "cpu"}, None, 6),
        ({"kind": "in_process", "num_threads": 4, "device": "cpu"}, None, 1),
        (_ray(), None, 6),
        (_ray(), 2, 2),
        (_ray(), 50, 6),
        (_ray(teacher={"num_train_workers": 2}), None, 2),  # 2 + 1 CPU
        (_ray(address="127.0.0.1:1"), None, None),
        (_ray(address="127.0.0.1:1"), 3, 3),
    ],
)
def test_six_cpus_run_as_many_trials_at_once_as_fit(
    execution: dict[str, object],
    most: int | None,
    expected: int | None,
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_plan, "cpus_of_this_machine", lambda: 6)
    found = plan_sweep(
        _space(TEMPERATURE, max_concurrent_trials=most), _with(experiment, execution=execution)
    )
    assert (found.room.num_at_once, found.room.shortage) == (expected, "")
    assert bool(found.room.available) is ("address" not in execution)


def test_if_no_trial_fits_the_plan_gives_the_reason_and_still_counts(
    experiment: Experiment,
) -> None:
    found = plan_sweep(
        _space(TEMPERATURE), _with(experiment, execution=_ray(teacher={"num_cpus_per_worker": 500}))
    )
    assert found.room.num_at_once == 0
    assert "a trial needs 500 CPU, this machine has" in found.room.shortage
    assert found.shared.num_stages == NUM_TASKS + 4 * NUM_TASKS
    assert found.shared.wall_seconds is None


# --- errors ---------------------------------------------------------------------------------------


def test_a_space_that_does_not_fit_the_experiment_is_an_error(experiment: Experiment) -> None:
    data = {**experiment.data.model_dump(), "validation_fraction": 0}
    with pytest.raises(ConfigError, match="the metric is measured on validation images"):
        plan_sweep(_space(TEMPERATURE), _with(experiment, data=data))


def test_a_space_without_a_valid_configuration_is_an_error(experiment: Experiment) -> None:
    with pytest.raises(
        ConfigError, match=r"was rejected, the last because: student\.temperature > 9 does not hold"
    ):
        plan_sweep(_space(TEMPERATURE, constraints=["student.temperature > 9"]), experiment)
