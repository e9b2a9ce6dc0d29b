"""A canary that is planted in addresses, and a search of all places where it must not appear."""

import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.integration.servers import MlflowServer

CANARY, RAW_TAIL = "QZX7canary9KWV", "RAWtail4YWQ"
QUOTED = urllib.parse.quote(f"{CANARY}@/{RAW_TAIL}", safe="")
NOBODY = "127.0.0.1:9"
OF_S3 = f"endpoint_override={NOBODY}&scheme=http&region=us-east-1"

# for each setting: the scheme first; after the place, the address's own query
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
    """Return whether the content contains the canary, or its part after an `@` or `/`."""
    found = content if isinstance(content, bytes) else content.encode()
    return CANARY.encode() in found or RAW_TAIL.encode() in found


class Command:
    """The command line in this process, with all its output and webhook posts."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch
        self.posted: list[bytes] = []
        self.said: list[str] = []

    def __call__(self, *words: object) -> int:
        """Run a command; return its exit code. Its output must not contain the canary, whatever the
        result.
        """
        self._patch.setattr(sys, "argv", ["orchestrator", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = "\n".join(self._capture.readouterr())
        assert not has_canary(said), f"orchestrator {words[0]}"
        assert "this is a bug" not in said, said
        assert not [each for each in self.posted if has_canary(each)], "the webhook"
        self.said.append(said)
        return int(ended.value.code or 0)


@contextmanager
def no_process_title_shows_it() -> Iterator[None]:
    """Check the arguments of all processes during the `with` block."""
    ended, seen = threading.Event(), set[bytes]()

    def look() -> None:
        while not ended.wait(0.1):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue  # the process has just ended

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
    """Return the files below a folder that contain the canary, except the given configurations."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "given" not in path.relative_to(folder).parts
        if has_canary(str(path.relative_to(folder))) or has_canary(path.read_bytes())
    ]


def write_digits(address: str, *digits: int) -> None:
    """Write a Parquet file of some digits, 20 images each, to an address."""
    data = load_digits()
    rows = np.concatenate([np.flatnonzero(data.target == digit)[:20] for digit in digits])
    images = np.rint(data.images[rows] * (255 / 16)).astype(int).tolist()
    filesystem, path = fs.FileSystem.from_uri(address)
    filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    table = pa.table({"image": images, "label": data.target[rows].tolist()})
    pq.write_table(table, path, filesystem=filesystem)


class World:
    """A real MLflow server and a simulated S3, whose addresses contain the canary."""

    def __init__(self, folder: Path, server: MlflowServer, bucket: str, tiny: Experiment) -> None:
        self.folder = folder
        self.server = server
        self.bucket = bucket.replace("://", f"://AKEY:{QUOTED}@")
        self.given = folder / "given"
        self.given.mkdir(exist_ok=True)
        self._tiny = tiny.model_dump(mode="json", exclude={"data"})

    def tracking(self, password: str = QUOTED) -> str:
        """Return the server's address; the server needs no password."""
        return self.server.uri.replace("://", f"://me:{password}@")

    def experiment(self, name: str = "canary", password: str = QUOTED) -> dict[str, Any]:
        """Return an experiment whose data and store are in the bucket."""
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
        """Return a retraining on digits that arrive in the bucket."""
        return load_retraining(self.write(name, self.retraining_values(name, password)))

    def retraining_values(self, name: str, password: str = QUOTED) -> dict[str, Any]:
        """Return the values of a retraining's file."""
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
        """Write a configuration file as a user would."""
        file = self.given / f"{name}.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

    def objects_with_it(self) -> list[str]:
        """Return the objects of the bucket that contain the canary."""
        filesystem, root = fs.FileSystem.from_uri(self.bucket)
        listed = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
        files = [info.path for info in listed if info.type == fs.FileType.File]
        assert files
        return [path for path in files if has_canary(filesystem.open_input_stream(path).read())]
