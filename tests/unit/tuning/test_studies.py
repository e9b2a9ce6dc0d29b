"""A sweep's study in an Optuna storage mirrors its ledger and never delays the sweep."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from orchestrator.config import Experiment, SearchSpace
from orchestrator.errors import ConfigError, StorageUnavailableError
from orchestrator.output_files import LEDGER_FILE
from orchestrator.pipelines.sweep.studies import import_sweep
from orchestrator.tuning import study_writer
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader
from orchestrator.tuning.space import Space
from orchestrator.tuning.studies import StudyIdentity, study_from
from orchestrator.tuning.study_writer import StudyWriter, write_study
from orchestrator.tuning.trial_status import TrialStatus
from tests.waiting import wait_until

TEMPERATURE = "student.temperature"
CHOICES = {TEMPERATURE: {"kind": "choice", "values": [1, 4]}}
POINT = {TEMPERATURE: 4}
RUNNING = LedgerTrial(0, Configuration(POINT, POINT), "run0")
FINISHED = replace(RUNNING, status=TrialStatus.FINISHED, value=0.9, curve=[0.5, 0.9], seconds=2.0)


def search_space_of(**fields: object) -> SearchSpace:
    values: dict[str, Any] = {"name": "test", "parameters": CHOICES, "num_trials": 3, **fields}
    return SearchSpace.model_validate(values)


def identity_of(storage: str, sweep_id: str = "sweep1", **fields: object) -> StudyIdentity:
    space = Space(search_space_of(**fields), Experiment())
    return StudyIdentity(storage, sweep_id, space, lambda run: f"http://mlflow/{run}")


def in_file(folder: Path) -> str:
    return f"sqlite:///{folder / 'studies.db'}"


def studies_in(storage: str) -> list[optuna.Study]:
    names = [it.study_name for it in optuna.get_all_study_summaries(storage)]
    return [optuna.load_study(study_name=name, storage=storage) for name in sorted(names)]


def followed(identity: StudyIdentity, states: Iterable[LedgerTrial]) -> None:
    writer = StudyWriter(identity)
    for state in states:
        writer.note(state)
        wait_until(lambda: not writer._pending)
    writer.close()


def test_a_trial_is_visible_from_start_to_end(tmp_path: Path) -> None:
    storage = in_file(tmp_path)
    identity = identity_of(storage)
    followed(identity, [RUNNING, replace(RUNNING, curve=[0.5])])
    [study] = studies_in(storage)
    [trial] = study.trials
    assert study.study_name == "test sweep1"
    assert (trial.state, trial.params, trial.intermediate_values) == (
        TrialState.RUNNING,
        POINT,
        {1: 0.5},
    )
    followed(identity, [FINISHED])
    [study] = studies_in(storage)
    [trial] = study.trials
    assert (trial.state, trial.values, trial.intermediate_values) == (
        TrialState.COMPLETE,
        [0.9],
        {1: 0.5, 2: 0.9},
    )
    assert trial.user_attrs["mlflow_run_id"] == "run0"
    assert trial.user_attrs["mlflow"] == "http://mlflow/run0"
    assert trial.user_attrs["trial"] == 0


@pytest.mark.parametrize(
    ("trial", "state"),
    [
        (replace(RUNNING, status=TrialStatus.INTERRUPTED), TrialState.WAITING),
        (replace(RUNNING, status=TrialStatus.FAILED, is_retryable=True), TrialState.WAITING),
        (replace(RUNNING, status=TrialStatus.FAILED, reason="the loss is nan"), TrialState.FAIL),
        (replace(RUNNING, status=TrialStatus.STOPPED, curve=[0.5]), TrialState.PRUNED),
    ],
    ids=["interrupted", "away", "failed", "stopped"],
)
def test_each_status_has_its_state(trial: LedgerTrial, state: TrialState) -> None:
    study = study_from([trial], identity_of(""))
    assert [it.state for it in study.trials] == [state]


def test_a_killed_and_resumed_sweep_is_one_study_and_its_trial_one_trial(tmp_path: Path) -> None:
    identity = identity_of(in_file(tmp_path))
    interrupted = replace(RUNNING, status=TrialStatus.INTERRUPTED, reason="its process was killed")
    followed(identity, [RUNNING])
    followed(identity, [interrupted, RUNNING, FINISHED])
    [study] = studies_in(identity.storage)
    assert [it.state for it in study.trials] == [TrialState.COMPLETE]


def test_a_study_is_rewritten_when_a_choice_is_added(tmp_path: Path) -> None:
    storage = in_file(tmp_path)
    followed(identity_of(storage), [FINISHED])
    wider = {TEMPERATURE: {"kind": "choice", "values": [1, 2, 4]}}
    narrower = {TEMPERATURE: {"kind": "choice", "values": [1, 2]}}
    for parameters, expected in ((wider, POINT), (narrower, {})):
        write_study([FINISHED], identity_of(storage, parameters=parameters))
        [study] = studies_in(storage)
        assert [it.params for it in study.trials] == [expected]
        assert [it.user_attrs["parameters"] for it in study.trials] == [POINT]


def test_several_objectives_have_their_names_directions_and_values(tmp_path: Path) -> None:
    metrics = {"student/last_accuracy": "max", "worker_seconds": "min"}
    identity = identity_of(in_file(tmp_path), metrics=metrics)
    several = replace(FINISHED, values={"student/last_accuracy": 0.9, "worker_seconds": 7.0})
    write_study([several], identity)
    [study] = studies_in(identity.storage)
    assert study.metric_names == list(metrics)
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert [it.values for it in study.best_trials] == [[0.9, 7.0]]


def test_two_sweeps_at_once_share_a_storage(tmp_path: Path) -> None:
    storage = in_file(tmp_path)
    writers = [StudyWriter(identity_of(storage, f"sweep{number}")) for number in range(2)]
    for number in range(5):
        for writer in writers:
            writer.note(replace(FINISHED, number=number))
    for writer in writers:
        writer.close(60)
    assert [len(study.trials) for study in studies_in(storage)] == [5, 5]


def test_an_unreachable_storage_delays_nothing_and_receives_all_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(study_writer, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(study_writer, "FIRST_PAUSE_SECONDS", 0.05)
    folder = tmp_path / "away"
    folder.touch()  # a file blocks the folder
    identity = identity_of(in_file(folder))
    writer = StudyWriter(identity)
    writer.note(RUNNING)
    writer.note(FINISHED)
    wait_until(lambda: writer._num_failures > 1)
    folder.unlink()
    writer.close(60)
    [study] = studies_in(identity.storage)
    assert [it.state for it in study.trials] == [TrialState.COMPLETE]
    assert [record.message.partition(" to ")[0] for record in caplog.records] == [
        "the study cannot be written",
        "the study is written again",
    ]


def test_unwritten_trials_are_reported_at_the_end_without_the_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "orchestrator")
    writer = StudyWriter(identity_of("postgresql://me:hunter2@127.0.0.1:9/studies"))
    writer.note(FINISHED)
    writer.close(0.2)
    wait_until(lambda: not writer._thread.is_alive())
    assert "1 trials could not be written" in caplog.text
    assert "hunter2" not in caplog.text


def earlier_sweep(folder: Path, experiment: Experiment) -> Ledger:
    ledger = Ledger(folder / LEDGER_FILE)
    values = experiment.model_dump(mode="json")
    ledger.begin(SweepHeader("earlier", values, search_space_of().model_dump(mode="json")))
    ledger.write(RUNNING)
    ledger.write(FINISHED)
    return ledger


def test_an_earlier_sweep_can_be_imported_repeatedly_from_its_ledger(tmp_path: Path) -> None:
    experiment = Experiment.model_validate({"store": {"uri": str(tmp_path / "store")}})
    earlier_sweep(tmp_path, experiment)
    for _ in range(2):
        identity = import_sweep(tmp_path)
        assert identity.storage == in_file(tmp_path)
        [study] = studies_in(identity.storage)
        assert study.study_name == "test earlier"
        assert [it.values for it in study.trials] == [[0.9]]


def test_an_import_reports_a_missing_sweep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the folder contains no sweep"):
        import_sweep(tmp_path)
    earlier_sweep(tmp_path, Experiment())
    with pytest.raises(ConfigError, match="redis://host is not an Optuna storage"):
        import_sweep(tmp_path, "redis://host")
    away = "postgresql://me:hunter2@127.0.0.1:9/studies"
    with pytest.raises(StorageUnavailableError) as raised:
        import_sweep(tmp_path, away)
    assert "hunter2" not in str(raised.value)
