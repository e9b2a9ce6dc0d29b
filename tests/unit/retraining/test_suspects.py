"""A file that killed a tick is quarantined, and no other file is."""

import io
import itertools
import json
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config.retraining import LeaseConfig, Retraining
from orchestrator.data import probing
from orchestrator.data.growing_folder import Folder
from orchestrator.retraining.journal import Journal
from orchestrator.retraining.lease import READING_NOTE, Lease, this_holder
from orchestrator.retraining.lineage import Lineage, TakenFile
from orchestrator.retraining.scan import scan
from orchestrator.retraining.storage import ObjectStorage
from orchestrator.retraining.suspects import SetAside, begin_reading

TOKENS = itertools.count(1)


def image() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def ticked(storage: ObjectStorage, retraining: Retraining, lineage: Lineage) -> SetAside:
    """Begin a tick that dies unless its note is removed; return the files that it must skip."""
    token = next(TOKENS)
    found = begin_reading(storage, token, retraining, lineage)
    assert begin_reading(storage, token, retraining, lineage) == found, "it may look twice"
    return found


def deliver(file: Path, content: bytes, num_rows: int) -> None:
    table = pa.table({"image": pa.array([content] * num_rows), "label": ["a"] * num_rows})
    pq.write_table(table, file, compression="zstd", dictionary_pagesize_limit=2**30)


def deliver_bomb(file: Path) -> None:
    """Write a file of less than a megabyte that holds one megabyte three hundred times."""
    deliver(file, image() + bytes(2**20), 300)
    assert file.stat().st_size < 2**20


@pytest.fixture
def retraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Retraining:
    (tmp_path / "arrivals").mkdir()
    monkeypatch.setattr(probing, "_MAX_BYTES", 150 * 2**20)
    source = {"path": str(tmp_path / "arrivals"), "settled_seconds": 0, "image_size": 8}
    values: dict[str, Any] = {"experiment": {"name": "x"}, "source": source}
    return Retraining.model_validate(values)


def test_a_file_that_kills_a_tick_is_quarantined_by_the_second_tick_and_named(
    retraining: Retraining, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage, arrivals = ObjectStorage(str(tmp_path / "journal")), tmp_path / "arrivals"
    deliver(arrivals / "good.parquet", image(), 3)
    deliver_bomb(arrivals / "bomb.parquet")
    assert ticked(storage, retraining, Lineage()).labeled == []
    # the tick is killed here: its note remains
    aside = ticked(storage, retraining, Lineage())
    assert [(file.name, file.reason) for file in aside.labeled] == [
        ("bomb.parquet", "reading the file killed a tick")
    ]
    assert f"{arrivals}/bomb.parquet is skipped: reading the file killed a tick" in caplog.text
    found = scan(retraining.source, Lineage(), [], set_aside=aside.labeled)
    assert [file.name for file in found.new] == ["good.parquet"]
    assert found.quarantined == list(aside.labeled)
    storage.remove(READING_NOTE)  # a regular end
    assert ticked(storage, retraining, Lineage()) == aside, "it is remembered"
    deliver(arrivals / "bomb.parquet", image(), 4)
    assert ticked(storage, retraining, Lineage()).labeled == [], "it has changed"


def test_a_tick_killed_for_other_reasons_quarantines_no_file(
    retraining: Retraining, tmp_path: Path
) -> None:
    storage = ObjectStorage(str(tmp_path / "journal"))
    deliver(tmp_path / "arrivals" / "good.parquet", image(), 3)
    (tmp_path / "arrivals" / "torn.parquet").write_bytes(b"PAR1")
    for _ in range(2):
        assert ticked(storage, retraining, Lineage()).labeled == []


def test_files_of_the_champion_are_no_suspects(retraining: Retraining, tmp_path: Path) -> None:
    storage, file = ObjectStorage(str(tmp_path / "journal")), tmp_path / "arrivals" / "x.parquet"
    deliver_bomb(file)
    known = TakenFile(
        name=file.name,
        sha256="0" * 64,
        num_bytes=file.stat().st_size,
        modified=Folder(str(file.parent)).names()[file.name].modified,
        delivery=1,
        num_images={"a": 1},
    )
    ticked(storage, retraining, Lineage(files=(known,)))
    assert json.loads(storage.read(READING_NOTE) or b"")["files"] == []


def test_files_without_labels_are_quarantined_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    pq.write_table(pa.table({"image": [image()]}), camera / "good.parquet")
    storage = ObjectStorage(str(tmp_path / "journal"))
    (tmp_path / "arrivals").mkdir()
    source = {
        "path": str(tmp_path / "arrivals"),
        "settled_seconds": 0,
        "unlabeled": {"path": str(camera)},
    }
    retraining = Retraining.model_validate({"experiment": {"name": "x"}, "source": source})
    ticked(storage, retraining, Lineage())
    assert ticked(storage, retraining, Lineage()).unlabeled == frozenset()
    monkeypatch.setattr("orchestrator.retraining.suspects.survives", lambda *_: False)
    assert ticked(storage, retraining, Lineage()).unlabeled == {"good.parquet"}


def test_releasing_the_lease_removes_the_note(retraining: Retraining, tmp_path: Path) -> None:
    storage = ObjectStorage(str(tmp_path / "journal"))
    lease = Lease.acquire(Journal(storage), LeaseConfig(), this_holder())
    begin_reading(lease.storage, lease.token, retraining, Lineage())
    assert storage.read(READING_NOTE) is not None
    lease.release()
    assert storage.read(READING_NOTE) is None


@pytest.mark.parametrize(
    "note", [b"{", b"7", b'{"a": 1}', b'{"files": [[1], 2]}', b"[[1]]", b"[" * 10**5]
)
def test_a_damaged_note_suspects_no_file(
    note: bytes, retraining: Retraining, tmp_path: Path
) -> None:
    storage = ObjectStorage(str(tmp_path / "journal"))
    storage.write(READING_NOTE, note)
    assert ticked(storage, retraining, Lineage()).labeled == []


def test_a_killed_probe_counts_as_not_surviving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = tmp_path / "python"
    killer.write_text(f"#!/bin/sh\nkill -{int(signal.SIGKILL)} $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(killer))
    assert not probing.survives(str(tmp_path), "x.parquet", 1, (1, 8, 8), 1024)
