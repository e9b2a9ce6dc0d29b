"""The trials of a sweep in its driver: ledger, tracker and sampler agree, also after an earlier
start was killed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.config import Experiment, SearchSpace
from orchestrator.errors import ConfigError, LaneLostError, StorageUnavailableError, UserInputError
from orchestrator.models.network_costs import machine_name
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.trials import SweepTrials
from orchestrator.stages import Preparation
from orchestrator.stages.claims import NO_CLAIMS
from orchestrator.tracking import InMemoryTracker, RunStatus
from orchestrator.tuning.ledger import Ledger, SweepHeader
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialShare
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial import TrialInProcess
from orchestrator.tuning.trial_source import TrialPlan, TrialSource
from orchestrator.tuning.trial_status import TrialStatus

TEMPERATURES = [1, 4, 8]
GRID = {"kind": "grid"}
RANDOM = {"kind": "random", "seed": 0}


class Sweep:
    """One sweep over several starts: folder, ledger file and tracked run persist, the process does
    not.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder
        self.experiment = experiment
        self.tracker = InMemoryTracker()

    def start(self, values: Sequence[Any] = TEMPERATURES, **fields: Any) -> SweepTrials:  # noqa: ANN401 - plain values of YAML
        parameters = {"student.temperature": {"kind": "choice", "values": list(values)}}
        space = SearchSpace.model_validate(
            {"name": "test", "searcher": GRID, "parameters": parameters, **fields}
        )
        ledger = Ledger(self.folder / "ledger.jsonl")
        if ledger.header is None:
            ledger.begin(
                SweepHeader(
                    self.tracker.run_id,
                    self.experiment.model_dump(mode="json"),
                    space.model_dump(mode="json"),
                )
            )
        setting = SweepSetting(space, self.experiment, Space(space, self.experiment), self.folder)
        return SweepTrials(setting, ledger, self.tracker, SilentSweepListener())

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "ledger.jsonl")

    def learn(self, source: TrialSource, plan: TrialPlan, num_tasks: int = 3) -> None:
        """Do the work of a trial's process in this process."""
        header = self.ledger.header
        assert header is not None
        objective = Objective.of(SearchSpace.model_validate(header.search_space))
        trial = TrialInProcess(
            plan.experiments,
            objective.knowing(plan.known),
            TrialShare.of(self.experiment.execution),
            NO_CLAIMS,
            Preparation(),
        )
        for _ in range(num_tasks):
            source.trial_reported(plan.number, trial.learn_next_task())


@pytest.fixture
def sweep(tiny_experiment: Experiment, tmp_path: Path) -> Sweep:
    return Sweep(tmp_path, tiny_experiment)


def next_of(source: SweepTrials) -> TrialPlan:
    plan = source.next_trial()
    assert plan is not None
    return plan


def temperature_of(plan: TrialPlan) -> float:
    return plan.experiments[0].student.temperature


def rest_of(source: SweepTrials) -> list[tuple[int, float]]:
    return [(plan.number, temperature_of(plan)) for plan in iter(source.next_trial, None)]


# --- order and number of trials -------------------------------------------------------------------


def test_a_grid_gives_each_point_once_numbered_from_zero(sweep: Sweep) -> None:
    source = sweep.start()
    assert source.has_work()
    assert rest_of(source) == [(0, 1), (1, 4), (2, 8)]
    assert source.next_trial() is None


def test_the_number_of_trials_is_a_limit(sweep: Sweep) -> None:
    assert rest_of(sweep.start(num_trials=2)) == [(0, 1), (1, 4)]


def test_each_trial_has_an_experiment_for_every_seed(sweep: Sweep) -> None:
    plan = next_of(sweep.start(seeds=[3, 5]))
    assert [experiment.seed for experiment in plan.experiments] == [3, 5]
    assert TrialPlan.from_tune_config(plan.as_tune_config()) == plan


def test_open_trials_come_first_and_are_not_drawn_again(sweep: Sweep) -> None:
    killed = sweep.start()
    for _ in range(2):
        killed.trial_started(next_of(killed).number)
    again = sweep.start()
    # both are drawn before either ends, as concurrent trials are
    assert rest_of(again) == [(0, 1), (1, 4), (2, 8)]


def test_a_wider_grid_continues_with_the_new_points(sweep: Sweep) -> None:
    first = sweep.start([1, 4])
    for plan in (next_of(first), next_of(first)):
        first.trial_started(plan.number)
        first.trial_ended(plan.number, TrialStatus.STOPPED, "by the trial scheduler after task 1")
    assert not sweep.start([1, 4]).has_work()
    assert rest_of(sweep.start([1, 2, 4])) == [(2, 2)]


def test_a_killed_random_search_resumes_as_if_undisturbed(
    sweep: Sweep, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"searcher": RANDOM, "num_trials": 6}
    values = [1 + index / 100 for index in range(500)]
    undisturbed = rest_of(sweep.start(values, **fields))
    other = Sweep(tmp_path / "other", tiny_experiment)
    other.folder.mkdir()
    killed = other.start(values, **fields)
    for _ in range(2):
        killed.trial_started(next_of(killed).number)
    assert rest_of(other.start(values, **fields)) == undisturbed


def test_a_complete_sweep_has_no_work_and_neither_has_one_with_a_spent_budget(
    sweep: Sweep,
) -> None:
    source = sweep.start([4])
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    assert not sweep.start([4]).has_work()
    assert sweep.start([4, 5]).has_work()
    spent = sweep.start([4, 5], budget={"worker_seconds": 1e-6})
    assert spent.worker_seconds > 0
    assert not spent.has_work()


def test_a_variation_is_a_separate_trial_that_does_not_count_as_drawn(sweep: Sweep) -> None:
    source = sweep.start(trial_scheduler={"kind": "pbt"}, num_trials=2)
    first = next_of(source)
    source.trial_started(first.number)
    varied = source.vary(first.number)
    source.trial_started(varied.number)
    assert varied.number == 1
    assert temperature_of(varied) == 4  # the neighbouring choice
    assert sweep.ledger.trials[1].variation_of == 0
    assert [number for number, _ in rest_of(source)] == [2]
    # and after the next start
    assert {
        number for number, _ in rest_of(sweep.start(trial_scheduler={"kind": "pbt"}, num_trials=2))
    } == {0, 1, 2}


def test_a_warm_start_needs_an_earlier_sweep_and_does_not_repeat_its_points(
    sweep: Sweep, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    source = sweep.start([1, 4])
    plan = next_of(source)
    source.trial_started(plan.number)
    source.trial_ended(plan.number, TrialStatus.STOPPED, "by the trial scheduler after task 1")
    other = Sweep(tmp_path / "other", tiny_experiment)
    other.folder.mkdir()
    assert rest_of(other.start([1, 4], warm_start=str(sweep.folder))) == [(0, 4)]
    with pytest.raises(ConfigError, match="nowhere: warm_start: the folder contains no sweep"):
        other.start(warm_start=str(tmp_path / "nowhere"))


# --- outcomes of trials ---------------------------------------------------------------------------


def test_a_finished_trial_has_its_last_objective_a_summary_file_and_a_finished_run(
    sweep: Sweep,
) -> None:
    source = sweep.start([4])
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    trial, [child] = sweep.ledger.trials[0], sweep.tracker.children
    assert (trial.status, trial.value, len(trial.curve)) == (
        TrialStatus.FINISHED,
        trial.curve[-1],
        3,
    )
    assert child.status is RunStatus.FINISHED
    assert child.history("trial/objective") == list(enumerate(trial.curve, start=1))
    assert (sweep.folder / "trials" / "0000" / "summary-seed-0.json").read_bytes() == child.files[
        "summary-seed-0.json"
    ]
    assert child.history("trial/stages_computed") == [(0, trial.stages_computed)]
    assert trial.stages_computed + trial.stages_cached == 6


def test_a_trial_with_several_objectives_has_each_in_ledger_and_run(sweep: Sweep) -> None:
    metrics = {"student/last_accuracy": "max", "student/num_parameters": "min"}
    metrics |= {"student/latency_ms": "min", "worker_seconds": "min"}
    source = sweep.start([4, 8], metrics=metrics)
    plan = next_of(source)
    assert plan.known.keys() == {"student/num_parameters", "student/latency_ms"}
    assert TrialPlan.from_tune_config(plan.as_tune_config()) == plan
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    trial, [child] = sweep.ledger.trials[0], sweep.tracker.children
    summary = json.loads((sweep.folder / "trials" / "0000" / "summary-seed-0.json").read_text())
    assert list(trial.values) == list(metrics)
    assert trial.value == trial.values["student/last_accuracy"]
    assert trial.values["student/num_parameters"] == summary["student"]["num_parameters"]
    assert trial.values["student/latency_ms"] == plan.known["student/latency_ms"] > 0
    assert trial.values["worker_seconds"] > 0
    assert trial.measured_on == machine_name()
    assert child.history("trial/student/num_parameters") == [
        (step, summary["student"]["num_parameters"]) for step in (1, 2, 3)
    ]
    # a stage costs the same whichever trial computes it: the second trial shares the teacher's
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    second = sweep.ledger.trials[1]
    assert second.values["worker_seconds"] > second.worker_seconds
    assert not sweep.start([4, 8], metrics=metrics).has_work()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TrialStatus.STOPPED, RunStatus.KILLED),
        (TrialStatus.INTERRUPTED, RunStatus.KILLED),
        (TrialStatus.FAILED, RunStatus.FAILED),
    ],
)
def test_an_unfinished_trial_has_no_value_and_its_run_has_the_reason(
    sweep: Sweep, status: TrialStatus, expected: RunStatus
) -> None:
    source = sweep.start([4])
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan, num_tasks=1)
    source.trial_ended(plan.number, status, "because")
    trial, [child] = sweep.ledger.trials[0], sweep.tracker.children
    assert (trial.status, trial.value, trial.reason, len(trial.curve)) == (
        status,
        None,
        "because",
        1,
    )
    assert (child.status, child.reason) == (expected, "because")


@pytest.mark.parametrize(
    ("error", "is_tried_again"),
    [(LaneLostError("its process ended"), True), (UserInputError("the loss is nan"), False)],
    ids=str,
)
def test_only_retryable_trials_are_tried_again(
    sweep: Sweep,
    error: Any,  # noqa: ANN401
    is_tried_again: bool,
) -> None:
    source = sweep.start([4])
    plan = next_of(source)
    source.trial_started(plan.number)
    source.trial_ended(plan.number, TrialStatus.FAILED, str(error), error)
    assert source.errors == [error]
    again = sweep.start([4])
    assert again.has_work() is is_tried_again
    if is_tried_again:
        again.trial_started(next_of(again).number)
        assert not sweep.ledger.trials[0].is_retryable
        [child] = sweep.tracker.children
        assert child.status is None


def test_trials_of_a_killed_start_are_not_running_after_the_next_start(sweep: Sweep) -> None:
    killed = sweep.start()
    killed.trial_started(next_of(killed).number)
    assert [trial.status for trial in sweep.ledger.trials.values()] == [TrialStatus.RUNNING]
    sweep.start(budget={"wall_seconds": 1e-9})
    assert [trial.status for trial in sweep.ledger.trials.values()] == [TrialStatus.INTERRUPTED]


def test_if_one_trials_end_cannot_be_recorded_the_others_are_still_closed(
    sweep: Sweep,
) -> None:
    from orchestrator.tuning.tune_callbacks import TuneListener

    source = sweep.start()
    listener = TuneListener(source)
    for plan in (next_of(source), next_of(source)):
        listener.on_trial_start(
            0, [], SimpleNamespace(trial_id=str(plan.number), config=plan.as_tune_config())
        )
    (sweep.folder / "ledger.jsonl").unlink()
    (sweep.folder / "ledger.jsonl").mkdir()  # from here on no line can be written
    with pytest.raises(StorageUnavailableError, match="ledger"):
        listener.end_all()
    assert [(child.status, child.reason) for child in sweep.tracker.children] == [
        (RunStatus.KILLED, "interrupted")
    ] * 2


def test_a_trial_whose_summary_cannot_be_written_has_a_failed_run_and_is_resumed(
    sweep: Sweep,
) -> None:
    source = sweep.start([4])
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    (sweep.folder / "trials").touch()  # below a file not even root can write
    with pytest.raises(StorageUnavailableError, match="summary"):
        source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    [child] = sweep.tracker.children
    assert child.status is RunStatus.FAILED
    assert sweep.start([4]).has_work()


def test_a_resumed_trial_logs_each_number_once_and_counts_only_its_own_stages(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sweep.start([5.5])
    plan = next_of(first)
    first.trial_started(plan.number)
    sweep.learn(first, plan, num_tasks=2)
    computed = sweep.ledger.trials[0].stages_computed
    assert computed >= 2
    # computed elsewhere, with another number of threads, which does not change the numbers
    elsewhere = sweep.experiment.execution.model_copy(update={"num_threads": 2})
    monkeypatch.setattr(
        sweep, "experiment", sweep.experiment.model_copy(update={"execution": elsewhere})
    )
    second = sweep.start([5.5])
    plan = next_of(second)
    second.trial_started(plan.number)
    sweep.learn(second, plan)
    second.trial_ended(plan.number, TrialStatus.FINISHED, "")
    trial, [child] = sweep.ledger.trials[0], sweep.tracker.children
    assert trial.run_id == child.run_id
    assert child.parameters["execution.num_threads"] == "1"
    for name in ("trial/objective", "student/accuracy", "teacher/forgetting"):
        assert [step for step, _ in child.history(name)] == [1, 2, 3]
    assert trial.stages_computed > computed
    assert trial.stages_computed + trial.stages_cached == 6


def test_the_curves_of_several_seeds_are_their_means(sweep: Sweep) -> None:
    source = sweep.start([4], seeds=[0, 1])
    plan = next_of(source)
    source.trial_started(plan.number)
    sweep.learn(source, plan)
    source.trial_ended(plan.number, TrialStatus.FINISHED, "")
    [child] = sweep.tracker.children
    alone = []
    for seed in (0, 1):
        single = Sweep(sweep.folder / f"seed {seed}", sweep.experiment)
        single.folder.mkdir()
        one = single.start([4], seeds=[seed])
        own = next_of(one)
        one.trial_started(own.number)
        single.learn(one, own)
        alone += single.tracker.children
    for name in (
        "student/accuracy",
        "student_training/loss",
        "trial/objective",
        "teacher_accuracy/task_00",
    ):
        pairs = list(zip(alone[0].history(name), alone[1].history(name), strict=True))
        assert [step for step, _ in child.history(name)] == [step for (step, _), _ in pairs]
        assert [value for _, value in child.history(name)] == pytest.approx(
            [(a + b) / 2 for (_, a), (_, b) in pairs]
        )
    assert child.tags["orchestrator.seed"] == "0, 1"
