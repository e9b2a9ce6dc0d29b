"""A sweep whose MLflow server dies in the middle and returns after its end: nothing is missing or
duplicated.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.config import Experiment, SearchSpace
from orchestrator.pipelines.records.reconcile import reconcile
from orchestrator.pipelines.records.report import report
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.sweep import sweep
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.runs import find_run
from orchestrator.tuning.ledger import LedgerTrial, ledger_of
from orchestrator.tuning.trial_status import TrialStatus
from tests.integration.servers import MlflowServer, mlflow_server

NUM_TASKS = 3
TEMPERATURES = [1, 4, 8]

pytestmark = pytest.mark.reliability


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as running:
        yield running


class Killer(SilentSweepListener):
    """Listener that kills the server while the second trial is training."""

    def __init__(self, server: MlflowServer) -> None:
        self._server = server

    def trial_changed(self, trial: LedgerTrial) -> None:
        if trial.number == 1 and trial.status is TrialStatus.RUNNING and len(trial.curve) == 1:
            self._server.kill()


def test_a_sweep_loses_nothing_when_its_server_dies_in_the_middle(
    server: MlflowServer, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    tracking = {"uri": server.uri, "spool": str(tmp_path / "spool"), "models": "none"}
    values = tiny_experiment.model_dump() | {
        "store": {"uri": f"{tmp_path}/store"},
        "tracking": tracking,
    }
    temperature = {"student.temperature": {"kind": "choice", "values": TEMPERATURES}}
    space = SearchSpace.model_validate(
        {
            "name": "outage",
            "searcher": {"kind": "grid"},
            "parameters": temperature,
            "max_concurrent_trials": 1,
        }
    )
    summary = sweep(
        space, Experiment.model_validate(values), tmp_path / "out", listener=Killer(server)
    ).summary
    assert [trial["status"] for trial in summary["trials"]] == ["finished"] * len(TEMPERATURES)
    assert not server.answers()
    assert list((tmp_path / "spool").iterdir()), "nothing waits: the server did not die in time"

    server.start()
    done = reconcile(server.uri, tmp_path / "spool")
    done.raise_error()
    assert [left.num_refused for left in done.left_behind] == [0]
    assert list(done.closed.values()) == [[]], "a run that ended was taken for abandoned"
    assert list((tmp_path / "spool").iterdir()) == []
    client = MlflowClient(server.uri)
    parent = client.get_run(summary["sweep_id"])
    assert parent.info.status == "FINISHED"
    assert {"summary.json", "best.yaml", "ledger.jsonl", "report.html"} <= {
        file.path for file in client.list_artifacts(parent.info.run_id)
    }
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`{names.SWEEP_TAG}` = '{parent.info.run_id}'"
    )
    trials = [find_run(client, server.uri, trial["run_id"]) for trial in summary["trials"]]
    assert {run.info.run_id for run in runs} == {
        parent.info.run_id,
        *(run.info.run_id for run in trials),
    }
    for trial, run in zip(summary["trials"], trials, strict=True):
        check_trial(client, run, trial, parent)
    assert [trial.run_id for trial in ledger_of(tmp_path / "out").trials.values()] == [
        trial["run_id"] for trial in summary["trials"]
    ]
    # the id in the summary is enough for a report
    assert (
        report(summary["trials"][-1]["run_id"], server.uri, tmp_path / "report.html").stat().st_size
        > 10_000
    )


def check_trial(client: MlflowClient, run: Run, trial: dict[str, Any], parent: Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.data.tags[names.PARENT_RUN_TAG] == parent.info.run_id
    assert names.STATUS_REASON_TAG not in run.data.tags
    assert set(run.data.metrics) == set(names.all_metrics(NUM_TASKS)) | set(names.TRIAL_METRICS)
    assert (
        float(run.data.params["student.temperature"]) == trial["parameters"]["student.temperature"]
    )
    objective = client.get_metric_history(run.info.run_id, names.TRIAL_OBJECTIVE)
    assert [(point.step, point.value) for point in objective] == list(
        enumerate(trial["curve"], start=1)
    )
    for name in names.all_metrics(NUM_TASKS):
        steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
        assert sorted(set(steps)) == steps, f"{name} twice, or not in order"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"summary-seed-0.json"}
