"""The same numbers in every store: a SQLite file, and an MLflow server with PostgreSQL behind
it.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import psycopg
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.config import SearchSpace
from orchestrator.config.experiment import Experiment, TrackingConfig
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.mlflow.records import MlflowRecords
from orchestrator.tracking.mlflow.registry import MlflowRegistry
from orchestrator.tracking.reading import open_registry
from orchestrator.tracking.sql.database import open_database
from orchestrator.tracking.sql.records import DatabaseRecords
from orchestrator.tracking.sql.registry import DatabaseRegistry
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.space import Space
from orchestrator.tuning.studies import StudyIdentity, close_storage, open_storage
from orchestrator.tuning.study_writer import write_study
from orchestrator.tuning.trial_status import TrialStatus
from tests.integration.servers import MlflowServer, mlflow_server, postgres, postgres_programs
from tests.recorded_store import (
    assert_same_runs,
    assert_same_versions,
    record_runs,
    register_versions,
)

pytestmark = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
)

NUM_TRIALS, NUM_STEPS = 4, 200
# These differ between any two runs, whatever the store.
OWN_TAGS = {
    "mlflow.runName",
    "orchestrator.process_started",
    "orchestrator.process",
    "orchestrator.heartbeat",
}
OWN_METRICS = {"final/wall_seconds", "final/worker_seconds", "final/cached_stages"}
OWN_PARAMETERS = {"tracking.uri", "tracking.spool"}


class Tracked(NamedTuple):
    """The contents of a run in a store."""

    client: MlflowClient
    run: Run

    def histories(self) -> dict[str, list[tuple[int, float]]]:
        kept = self.run.data.metrics.keys() - OWN_METRICS
        return {
            name: [
                (p.step, p.value)
                for p in self.client.get_metric_history(self.run.info.run_id, name)
            ]
            for name in kept
        }

    def artifacts(self, folder: str = "") -> dict[str, int]:
        found: dict[str, int] = {}
        for artifact in self.client.list_artifacts(self.run.info.run_id, folder or None):
            found |= (
                self.artifacts(artifact.path)
                if artifact.is_dir
                else {artifact.path: artifact.file_size or 0}
            )
        return found

    def models(self) -> set[tuple[str, str]]:
        found = self.client.search_logged_models([self.run.info.experiment_id])
        return {
            (model.name, str(model.status))
            for model in found
            if model.source_run_id == self.run.info.run_id
        }


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as backend:
        yield backend


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(database, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def runs(
    server: MlflowServer, tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Tracked]:
    """Track the same experiment in both stores; the second run takes its stages from the stage
    store.
    """
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, uri in {"SQLite": f"sqlite:///{folder}/mlflow.db", "PostgreSQL": server.uri}.items():
        tracking = TrackingConfig(uri=uri, spool=folder / "spool")
        result = run(
            tiny_experiment.model_copy(update={"tracking": tracking}), folder / name, name="the run"
        )
        client = MlflowClient(uri)
        found[name] = Tracked(client, client.get_run(result.summary["run_id"]))
    return found


def test_both_have_the_same_metrics_in_the_same_order(runs: dict[str, Tracked]) -> None:
    first, second = (tracked.histories() for tracked in runs.values())
    assert first == second
    assert first.keys() == set(names.all_metrics(3)) - OWN_METRICS


def test_both_have_the_same_parameters(runs: dict[str, Tracked]) -> None:
    first, second = (
        {key: value for key, value in t.run.data.params.items() if key not in OWN_PARAMETERS}
        for t in runs.values()
    )
    assert first == second


def test_both_have_the_same_tags_and_status(runs: dict[str, Tracked]) -> None:
    first, second = (
        {key: value for key, value in t.run.data.tags.items() if key not in OWN_TAGS}
        for t in runs.values()
    )
    assert first == second
    assert {tracked.run.info.status for tracked in runs.values()} == {"FINISHED"}


def test_both_have_the_same_artifacts_models_and_data(runs: dict[str, Tracked]) -> None:
    first, second = runs.values()
    assert first.artifacts().keys() == second.artifacts().keys()
    assert all(second.artifacts().values())
    assert first.models() == second.models() == {("teacher", "READY"), ("student", "READY")}
    digests = [
        {used.dataset.digest for used in tracked.run.inputs.dataset_inputs}
        for tracked in runs.values()
        if tracked.run.inputs
    ]
    assert digests[0] == digests[1]


def test_trials_that_log_concurrently_lose_nothing(server: MlflowServer, tmp_path: Path) -> None:
    tracker = open_run(
        TrackingConfig(uri=server.uri, spool=tmp_path / "spool"), "at once", "a sweep", {}
    )
    trials = [tracker.open_child(f"trial {number}", {}) for number in range(NUM_TRIALS)]

    def log(number: int) -> None:
        for step in range(1, NUM_STEPS + 1):
            trials[number].log_metrics({"teacher_training/loss": number + step / 1000}, step)
        trials[number].close(RunStatus.FINISHED)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(NUM_TRIALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.close(RunStatus.FINISHED)
    client: Any = MlflowClient(server.uri)
    for number, trial in enumerate(trials):
        points = client.get_metric_history(trial.run_id, "teacher_training/loss")
        assert [(point.step, point.value) for point in points] == [
            (step, number + step / 1000) for step in range(1, NUM_STEPS + 1)
        ]
        assert client.get_run(trial.run_id).info.status == "FINISHED"


def test_a_sweep_is_a_study_in_a_database_server(database: str) -> None:
    place, _, _ = database.rpartition("/")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE studies")
    values = {
        "name": "test",
        "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
        "num_trials": 1,
    }
    space = Space(SearchSpace.model_validate(values), Experiment())
    identity = StudyIdentity(f"{place}/studies", "sweep", space, lambda run: run)
    point = {"student.temperature": 4.0}
    trial = LedgerTrial(0, Configuration(point, point), "run", curve=[0.5])
    write_study([trial], identity)
    ended = replace(trial, status=TrialStatus.FINISHED, value=0.9, curve=[0.5, 0.9])
    write_study([ended], identity)
    storage = open_storage(identity.storage)
    [stored] = optuna.load_study(study_name="test sweep", storage=storage).trials
    close_storage(storage)
    assert (stored.value, stored.params) == (0.9, point)
    assert stored.intermediate_values == {1: 0.5, 2: 0.9}


@pytest.mark.parametrize("password", ["wrong"])
def test_a_database_server_that_refuses_the_user_is_reported_at_once(
    server: MlflowServer, password: str, tmp_path: Path
) -> None:
    from orchestrator.errors import OrchestratorError

    uri = server.backend_uri.replace("mlflow@", f"nobody:{password}@")
    with pytest.raises(OrchestratorError, match=r"role .* does not exist; set PGUSER") as refused:
        open_run(TrackingConfig(uri=uri, spool=tmp_path / "spool"), "refused", "a run", {})
    assert password not in str(refused.value)
    assert "nobody" not in str(refused.value)
    assert refused.value.exit_code in (2, 3)


def test_sql_queries_of_postgresql_equal_mlflows_answers(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = server.backend_uri
    register_versions(uri, tmp_path / "models")
    record_runs(uri, tmp_path)
    database = open_database(uri)
    assert database is not None
    assert_same_runs(DatabaseRecords(database, lambda: MlflowRecords(uri)), MlflowRecords(uri))
    registries = (open_registry(uri, "pets"), MlflowRegistry(uri, "pets"))
    assert isinstance(registries[0], DatabaseRegistry)
    assert_same_versions(*registries, tmp_path / "copies")
