"""A canary in every setting that accepts an address, in every form: it appears in no output, file,
database, spool, request or process title, whatever is run.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.config.addresses import below
from orchestrator.pipelines.retraining.lease import held_lease
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.tracking.reading import open_registry
from tests.integration.canary import (
    CANARY,
    FORMS,
    OF_S3,
    Command,
    World,
    files_with_it,
    has_canary,
    no_process_title_shows_it,
    write_digits,
)
from tests.integration.processes import start_orchestrator
from tests.integration.servers import mlflow_server
from tests.object_storage import simulated_s3


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Return the command line, and a real webhook that it posts to."""
    found = Command(capfd, monkeypatch)
    factory, handlers = logging.getLogRecordFactory(), [*logging.getLogger().handlers]

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ORCHESTRATOR_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}")
    yield found
    server.shutdown()
    server.server_close()
    logging.setLogRecordFactory(factory)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with (
        simulated_s3() as bucket,
        pytest.MonkeyPatch.context() as patch,
        mlflow_server(new_database(folder), folder) as server,
    ):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)  # only the address contains credentials
        found = World(folder, server, bucket, tiny_experiment)
        write_digits(below(found.bucket, "digits", "train.parquet"), *range(6))
        write_digits(below(found.bucket, "arrivals", "1.parquet"), 0, 1)
        yield found


@pytest.mark.slow
def test_addresses_with_secrets_work_and_appear_nowhere(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    experiment = world.write("experiment", world.experiment())
    values = world.retraining_values("canary")
    del values["lease"]  # the journal is in the bucket, with the credentials of the store's address
    values["gate"]["max_student_parameters"] = 1  # so that a person decides
    retraining = world.write("retraining", values)
    digits = below(world.bucket, "digits", "train.parquet")
    with no_process_title_shows_it():
        assert command("validate", experiment, retraining) == 0
        assert command("plan", experiment) == 0
        assert command("run", experiment, "--output", "out/run") == 0
        run_id = json.loads(Path("out/run/summary.json").read_text())["run_id"]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking())
        assert command("report", run_id, "--output", "report.html") == 0
        assert command("compare", run_id, run_id, "--output", "compare.html") in (0, 2)
        assert command("reconcile", "--spool", "spool") == 0
        assert command("retrain", retraining, "--output", "out/retrain") == 0
        assert b'"rejected"' in command.posted[-1]
        assert command("reject", retraining, "1", "--reason", "too large") == 0
        assert command("approve", retraining, "1", "--reason", "a trial") == 0
        assert b'"promoted"' in command.posted[-1]
        assert command("approve", retraining, "--reason", "once more") == 2
        assert command("predict", "models:/canary-student@champion", digits) == 0
        for words in (["--json"], ["retrainings"], ["champions"], ["runs", "--tag", "a=b"]):
            assert command("list", *words) == 0
        assert command("report", retraining, "--output", "history.html") == 0
        assert command("gc", "--store", below(world.bucket, "store"), "--dry-run") == 0
    written = Path("out/run/experiment.yaml")
    assert "***@bucket" in written.read_text()
    # the saved experiment runs again, with the secrets in the environment
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    assert command("run", written, "--output", "out/again") == 0
    assert command("predict", run_id, digits, "--output", "p.json", "--sheet", "p.png") == 0
    summary = json.loads(Path("out/again/summary.json").read_text())
    assert all(stage["cached"] for stage in summary["stages"])
    assert files_with_it(world.folder) == []
    assert (world.folder / "mlflow.db").exists()
    assert world.objects_with_it() == []


def test_two_ticks_with_different_passwords_of_one_server_promote_once(world: World) -> None:
    one, two = (world.retraining("house", password) for password in ("one", "two"))
    pairs = ModelPairs(open_registry(one.experiment.tracking.uri, one.name))
    with held_lease(one, pairs):
        assert retrain(two, world.folder / "out" / "two").outcome == "locked"
    assert retrain(one, world.folder / "out" / "one").outcome == "promoted"
    assert retrain(two, world.folder / "out" / "two").outcome == "nothing_to_do"
    assert pairs.holder_of("champion") is not None
    (journal,) = (world.folder / "journals").glob("house-*")

    # the name that an earlier version used
    uri = one.experiment.tracking.uri
    earlier = journal.with_name(f"house-{hashlib.sha256(uri.encode()).hexdigest()[:8]}")
    journal.rename(earlier)
    with held_lease(one, pairs) as lease:
        assert lease.state.champion == pairs.holder_of("champion")
        assert retrain(two, world.folder / "out" / "two").outcome == "locked"
    assert not [*earlier.rglob("*.json")], "its state was handed over, once"
    kinds = [json.loads(file.read_text())["kind"] for file in journal.rglob("*.json")]
    assert {*kinds} == {"acquired", "released"}, "not what the registry says was adopted"
    assert retrain(two, world.folder / "out" / "two").outcome == "nothing_to_do"


SETTINGS = {
    "store.uri": "s3",
    "tracking.uri": "http",
    "data.train": "s3",
    "data.test": "gs",
}


@pytest.mark.parametrize("form", FORMS)
def test_no_validated_or_submitted_file_shows_a_secret(
    world: World, form: str, command: Command
) -> None:
    values, retraining = world.experiment(), world.retraining_values("x")
    for path, scheme in SETTINGS.items():
        section, _, field = path.partition(".")
        values[section] = values[section] | {field: f"{scheme}://{FORMS[form]}"}
    values["data"]["unlabeled"] = {"kind": "parquet", "path": f"s3://{FORMS[form]}"}
    retraining["lease"] = {"uri": f"s3://{FORMS[form]}"}
    retraining["source"]["path"] = f"s3://{FORMS[form]}"
    file, other = world.write("each", values), world.write("other", retraining)
    space = {
        "name": "x",
        "num_trials": 1,
        "parameters": {"data.train": {"kind": "choice", "values": [f"s3://{FORMS[form]}"]}},
    }
    cluster = world.write("cluster", {"tracking": {"uri": f"http://{FORMS[form]}"}})
    assert command("validate", file, other) == 0
    assert command("validate", world.write("space", space)) == 2
    assert command("submit", "run", file, "--dry-run") == 2
    assert command("submit", "retrain", other, "--dry-run") == 2
    assert "Secret" in command.said[-1]
    assert command("submit", "run", file, "--cluster-config", cluster, "--dry-run") == 2
    assert "environment variables" in command.said[-1]
    wrong = f"store.url=s3://{FORMS[form]}"
    assert command("run", file, "--set", wrong) == 2
    assert command("run", file, "--set", f"seed=s3://{'x' * 50}{FORMS[form]}") == 2


@pytest.mark.parametrize("form", FORMS)
def test_no_error_of_an_unusable_address_shows_its_secret(
    world: World, form: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    tail, good = FORMS[form], world.retraining_values("good")
    for scheme in ("http", "postgresql", "ftp", "file", "sqlite", "nonesuch"):
        uri = f"{scheme}://{tail}"
        for words in (["report", "abc"], ["list"], ["predict", "abc", "x.png"]):
            assert command(*words, "--tracking-uri", uri) in (2, 3), uri
    assert command("report", "abc", "--tracking-uri", tail) in (2, 3)
    for scheme in ("ftp", "nonesuch"):
        uri = f"{scheme}://{tail}"
        assert command("gc", "--store", uri) == 2
        assert command("data", "describe", uri) == 2
        assert command("predict", "abc", uri) in (2, 3)
        assert command("predict", uri, "x.png") in (2, 3)
        assert command("retrain", world.write("good", good), "--backtest", uri) == 2
        for section, field in (("source", "path"), ("lease", "uri")):
            values = world.retraining_values("broken")
            values[section][field] = uri
            assert command("retrain", world.write("broken", values)) == 2
            assert json.loads(command.posted[-1])["outcome"] == "failed"
    for section in ("store", "tracking"):
        values = world.retraining_values("broken")
        values["experiment"][section]["uri"] = f"ftp://{tail}"
        broken = world.write("broken", values)
        assert command("retrain", broken) == 2
        for decision in ("approve", "reject"):
            assert command(decision, broken, "--reason", "x") in (2, 3)
        command("report", broken)  # this command needs no store
    assert files_with_it(world.folder) == []


def test_an_unreachable_storage_shows_no_key_in_the_webhook(world: World, command: Command) -> None:
    values = world.retraining_values("away")
    values["experiment"]["store"]["uri"] = f"s3://AKEY:{CANARY}@b/s?{OF_S3}"
    assert command("retrain", world.write("away", values)) == 3
    said = json.loads(command.posted[-1])
    assert (said["outcome"], "s3://***@b/s" in said["reason"]) == ("failed", True)
    del values["lease"]
    assert command("retrain", world.write("away", values)) == 3


@pytest.mark.slow
def test_a_run_and_a_sweep_on_ray_work_and_show_no_secret(world: World) -> None:
    before = set(Path("/tmp/ray").glob("session_2*"))  # noqa: S108 - Ray's own place
    values = world.experiment() | {"execution": {"kind": "ray"}}
    space = {
        "name": "canary",
        "searcher": {"kind": "grid"},
        "parameters": {"student.temperature": {"kind": "choice", "values": [2]}},
    }
    base, searched = world.write("base", values), world.write("space", space)
    run = ["run", str(base), "--output", "out/lanes"]
    sweep = ["sweep", str(searched), "--experiment", str(base), "--output", "out/sweep"]
    with no_process_title_shows_it():
        for words in (run, sweep):
            process = start_orchestrator(*words, folder=world.folder)
            said = "\n".join(process.communicate())
            assert process.returncode == 0, said
            assert not has_canary(said)
    written = {path.name for path in (world.folder / "out" / "sweep").iterdir()}
    assert {"best.yaml", "report.html"} <= written
    assert files_with_it(world.folder) == []
    sessions = set(Path("/tmp/ray").glob("session_2*")) - before  # noqa: S108
    assert sessions  # with other clusters running, only one of the two was once found
    assert {session.name: files_with_it(session) for session in sessions} == {
        session.name: [] for session in sessions
    }
