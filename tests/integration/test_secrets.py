"""A canary in every setting that takes an address, in every form: whatever is run, it is found in
no output, file, database, spool, request or process title.
"""

import hashlib
import json
import logging
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyarrow import fs
from sklearn.datasets import load_digits

from orchestrator.cli import main
from orchestrator.config import Experiment, Retraining, load_retraining
from orchestrator.config.addresses import below
from orchestrator.pipelines.retraining.lease import held_lease
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.tracking.reading import open_registry
from tests.integration.servers import MlflowServer, mlflow_server
from tests.object_storage import simulated_s3

CANARY, RAW_TAIL = "QZX7canary9KWV", "RAWtail4YWQ"
QUOTED = urllib.parse.quote(f"{CANARY}@/{RAW_TAIL}", safe="")
NOBODY = "127.0.0.1:9"
OF_S3 = f"endpoint_override={NOBODY}&scheme=http&region=us-east-1"

# of each the scheme comes first; what is after the place is an address's own
FORMS = {
    "user and password": f"me:{CANARY}@{NOBODY}/x",
    "token": f"{CANARY}@{NOBODY}/x",
    "password key": f"{NOBODY}/x?password={CANARY}",
    "token key": f"{NOBODY}/x?region=eu&token={CANARY}",
    "secret key": f"{NOBODY}/x?secret_key={CANARY}&access_key={CANARY}",
    "presigned": f"{NOBODY}/x?X-Amz-Credential={CANARY}%2Fs3&X-Amz-Signature={CANARY}",
    "percent-encoded": f"me:{QUOTED}@{NOBODY}/x",
    "raw @": f"me:{CANARY}@{RAW_TAIL}@{NOBODY}/x",
    "raw /": f"me:{CANARY}/{RAW_TAIL}@{NOBODY}/x",
    "raw @ and /": f"me:{CANARY}@{RAW_TAIL}/{RAW_TAIL}@{NOBODY}/x",
    "raw ? and #": f"me:{CANARY}?{RAW_TAIL}#{RAW_TAIL}@{NOBODY}/x",
}


def has_canary(content: bytes | str) -> bool:
    """Whether the canary, or what was behind an `@` or `/` in it, is there."""
    found = content if isinstance(content, bytes) else content.encode()
    return CANARY.encode() in found or RAW_TAIL.encode() in found


class Command:
    """The command line in this process, with all that it has said and posted."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch
        self.posted: list[bytes] = []
        self.said: list[str] = []

    def __call__(self, *words: object) -> int:
        """Run it; return its exit code. What it says has no canary, whatever becomes of it."""
        self._patch.setattr(sys, "argv", ["orchestrator", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = "\n".join(self._capture.readouterr())
        assert not has_canary(said), f"orchestrator {words[0]}"
        assert "this is a bug" not in said, said
        assert not [each for each in self.posted if has_canary(each)], "the webhook"
        self.said.append(said)
        return int(ended.value.code or 0)


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """The command line, and a real webhook that it posts to."""
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


@contextmanager
def no_process_title_shows_it() -> Iterator[None]:
    """Look at the arguments of all processes for as long as the `with` lasts."""
    ended, seen = threading.Event(), set[bytes]()

    def look() -> None:
        while not ended.wait(0.1):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue  # it has just ended

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
    assert seen
    assert not [title for title in seen if has_canary(title)]


def files_with_it(folder: Path) -> list[str]:
    """Files below a folder that show it, but for the configurations that were given."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "given" not in path.relative_to(folder).parts
        if has_canary(str(path.relative_to(folder))) or has_canary(path.read_bytes())
    ]


def write_digits(address: str, *digits: int) -> None:
    """Put a Parquet file of some digits, 20 images each, to an address."""
    data = load_digits()
    rows = np.concatenate([np.flatnonzero(data.target == digit)[:20] for digit in digits])
    images = np.rint(data.images[rows] * (255 / 16)).astype(int).tolist()
    filesystem, path = fs.FileSystem.from_uri(address)
    filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    table = pa.table({"image": images, "label": data.target[rows].tolist()})
    pq.write_table(table, path, filesystem=filesystem)


class World:
    """A real MLflow server and a simulated S3, whose addresses have the canary in them."""

    def __init__(self, folder: Path, server: MlflowServer, bucket: str, tiny: Experiment) -> None:
        self.folder = folder
        self.server = server
        self.bucket = bucket.replace("://", f"://AKEY:{QUOTED}@")
        self.given = folder / "given"
        self.given.mkdir(exist_ok=True)
        self._tiny = tiny.model_dump(mode="json", exclude={"data"})

    def tracking(self, password: str = QUOTED) -> str:
        """The server's address; it lets everybody in."""
        return self.server.uri.replace("://", f"://me:{password}@")

    def experiment(self, name: str = "canary", password: str = QUOTED) -> dict[str, Any]:
        """An experiment of which everything is in the bucket."""
        data = {
            "kind": "parquet",
            "train": below(self.bucket, "digits", "train.parquet"),
            "image_size": 8,
            "num_channels": 1,
            "cache_dir": str(self.folder / "cache"),
        }
        tracking = self._tiny["tracking"] | {
            "uri": self.tracking(password),
            "spool": str(self.folder / "spool"),
        }
        store = {"uri": below(self.bucket, "store")}
        return self._tiny | {"name": name, "data": data, "store": store, "tracking": tracking}

    def retraining(self, name: str, password: str = QUOTED) -> Retraining:
        """A retraining on digits that arrive in the bucket."""
        return load_retraining(self.write(name, self.retraining_values(name, password)))

    def retraining_values(self, name: str, password: str = QUOTED) -> dict[str, Any]:
        """As its file has them."""
        experiment = self.experiment(name, password)
        del experiment["data"], experiment["scenario"]
        source = {
            "path": below(self.bucket, "arrivals"),
            "settled_seconds": 0,
            "image_size": 8,
            "num_channels": 1,
            "min_images_per_class": 5,
        }
        gate = {"min_new_accuracy": 0, "old_accuracy_tolerance": 1, "max_forgetting": 1}
        lease = {"uri": str(self.folder / "journals")}
        gate["min_agreement"] = 0
        return {"experiment": experiment, "source": source, "gate": gate, "lease": lease}

    def write(self, name: str, values: dict[str, Any]) -> Path:
        """A configuration file as a user gives it."""
        file = self.given / f"{name}.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

    def objects_with_it(self) -> list[str]:
        """Objects of the bucket that show it."""
        filesystem, root = fs.FileSystem.from_uri(self.bucket)
        listed = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
        files = [info.path for info in listed if info.type == fs.FileType.File]
        assert files
        return [path for path in files if has_canary(filesystem.open_input_stream(path).read())]


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
            patch.delenv(name)  # only the address has keys
        found = World(folder, server, bucket, tiny_experiment)
        write_digits(below(found.bucket, "digits", "train.parquet"), *range(6))
        write_digits(below(found.bucket, "arrivals", "1.parquet"), 0, 1)
        yield found


def test_addresses_with_secrets_work_and_are_nowhere_found(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    experiment = world.write("experiment", world.experiment())
    values = world.retraining_values("canary")
    del values["lease"]  # the journal is in the bucket, by the keys of the store's address
    retraining = world.write("retraining", values)
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
        assert command("gc", "--store", below(world.bucket, "store"), "--dry-run") == 0
    assert b'"promoted"' in command.posted[-1]
    written = Path("out/run/experiment.yaml")
    assert "***@bucket" in written.read_text()
    # what was written down runs again, with the secrets in the environment
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    assert command("run", written, "--output", "out/again") == 0
    summary = json.loads(Path("out/again/summary.json").read_text())
    assert all(stage["cached"] for stage in summary["stages"])
    assert files_with_it(world.folder) == []
    assert (world.folder / "mlflow.db").exists()
    assert world.objects_with_it() == []


def test_two_ticks_with_two_passwords_on_one_server_promote_once(world: World) -> None:
    one, two = (world.retraining("house", password) for password in ("one", "two"))
    pairs = ModelPairs(open_registry(one.experiment.tracking.uri, one.name))
    with held_lease(one, pairs):
        assert retrain(two, world.folder / "out" / "two").outcome == "locked"
    assert retrain(one, world.folder / "out" / "one").outcome == "promoted"
    assert retrain(two, world.folder / "out" / "two").outcome == "nothing_to_do"
    assert pairs.holder_of("champion") is not None
    (journal,) = (world.folder / "journals").glob("house-*")

    # as an earlier version has named it
    uri = one.experiment.tracking.uri
    earlier = journal.with_name(f"house-{hashlib.sha256(uri.encode()).hexdigest()[:8]}")
    journal.rename(earlier)
    with held_lease(one, pairs) as lease:
        assert lease.state.champion == pairs.holder_of("champion")
        assert retrain(two, world.folder / "out" / "two").outcome == "locked"
    assert not [*earlier.rglob("*.json")], "its state was handed over, once"
    assert retrain(two, world.folder / "out" / "two").outcome == "nothing_to_do"


SETTINGS = {
    "store.uri": "s3",
    "tracking.uri": "http",
    "data.train": "s3",
    "data.test": "gs",
}


@pytest.mark.parametrize("form", FORMS)
def test_no_file_that_is_checked_or_submitted_shows_a_secret(
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
def test_no_error_of_an_address_that_cannot_be_opened_shows_its_secret(
    world: World, form: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    tail = FORMS[form]
    for scheme in ("http", "postgresql", "ftp", "file", "sqlite", "nonesuch"):
        uri = f"{scheme}://{tail}"
        assert command("report", "abc", "--tracking-uri", uri) in (2, 3), uri
    assert command("report", "abc", "--tracking-uri", tail) in (2, 3)
    for scheme in ("ftp", "nonesuch"):
        uri = f"{scheme}://{tail}"
        assert command("gc", "--store", uri) == 2
        assert command("data", "describe", uri) == 2
        for section, field in (("source", "path"), ("lease", "uri")):
            values = world.retraining_values("broken")
            values[section][field] = uri
            assert command("retrain", world.write("broken", values)) == 2
            assert json.loads(command.posted[-1])["outcome"] == "failed"
    for section in ("store", "tracking"):
        values = world.retraining_values("broken")
        values["experiment"][section]["uri"] = f"ftp://{tail}"
        assert command("retrain", world.write("broken", values)) == 2
    assert files_with_it(world.folder) == []


def test_storage_that_is_away_shows_no_key_in_the_webhook(world: World, command: Command) -> None:
    values = world.retraining_values("away")
    values["experiment"]["store"]["uri"] = f"s3://AKEY:{CANARY}@b/s?{OF_S3}"
    assert command("retrain", world.write("away", values)) == 3
    said = json.loads(command.posted[-1])
    assert (said["outcome"], "s3://***@b/s" in said["reason"]) == ("failed", True)
    del values["lease"]
    assert command("retrain", world.write("away", values)) == 3


def test_a_sweep_on_ray_shows_no_secret(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    before = set(Path("/tmp/ray").glob("session_*"))  # noqa: S108 - Ray's own place
    values = world.experiment() | {"execution": {"kind": "ray"}}
    space = {
        "name": "canary",
        "searcher": {"kind": "grid"},
        "parameters": {"student.temperature": {"kind": "choice", "values": [2]}},
    }
    files = [world.write("space", space), "--experiment", world.write("base", values)]
    with no_process_title_shows_it():
        assert command("sweep", *files, "--output", "out/sweep") == 0
    assert {"best.yaml", "report.html"} <= {path.name for path in Path("out/sweep").iterdir()}
    assert files_with_it(world.folder) == []
    sessions = set(Path("/tmp/ray").glob("session_2*")) - before  # noqa: S108
    assert sessions
    for session in sessions:
        assert [name for name in files_with_it(session) if "/sockets/" not in name] == []
