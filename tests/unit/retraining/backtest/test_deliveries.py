"""Delivery of past arrivals into the source of a replay."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import DataError
from orchestrator.retraining.backtest.arrivals import find_arrivals
from orchestrator.retraining.backtest.deliveries import Deliveries
from orchestrator.retraining.backtest.wrong_labels import read_labels


def write(file: Path, labels: list[str], written: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [f"{file.name} {row}".encode() for row in range(len(labels))]
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    os.utime(file, (written, written))


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """Return two arrivals; the second has two files, one of them without a new class."""
    folder = tmp_path / "past"
    write(folder / "a" / "1.parquet", ["0", "1"] * 10, 1_700_000_000.25)
    write(folder / "b" / "2.parquet", ["10", "2", "2", "10"] * 5, 1_700_100_000)
    write(folder / "b" / "3.parquet", ["0"] * 5, 1_700_100_000)
    return folder


@pytest.fixture(params=["", "file://"], ids=["local", "address"])
def deliveries(request: pytest.FixtureRequest, past: Path, tmp_path: Path) -> Deliveries:
    """Return deliveries of the same files, local or behind an address."""
    uri = f"{request.param}{past}"
    return Deliveries(uri, find_arrivals(uri, "folder"), tmp_path / "downloads")


def content(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime)
        for path in folder.rglob("*.parquet")
    }


def test_classes_of_an_arrival_are_listed_in_natural_order(deliveries: Deliveries) -> None:
    first, second = map(deliveries.num_images, deliveries.arrivals)
    assert list(first.items()) == [("0", 10), ("1", 10)]
    assert list(second.items()) == [("0", 5), ("2", 10), ("10", 10)]


def test_a_delivered_file_has_the_originals_name_content_and_time(
    deliveries: Deliveries, past: Path, tmp_path: Path
) -> None:
    for arrival in deliveries.arrivals:
        deliveries.deliver(arrival, tmp_path / "source")
    assert content(tmp_path / "source") == content(past)


def test_wrong_labels_affect_only_new_classes_and_not_the_original_files(
    deliveries: Deliveries, past: Path, tmp_path: Path
) -> None:
    before, source = content(past), tmp_path / "source"
    num_wrong, digests = deliveries.deliver_with_wrong_labels(
        deliveries.arrivals[1], {"2", "10"}, 0.2, "0", source
    )
    assert (num_wrong, len(digests)) == (4, 1)
    right, wrong = (read_labels(it / "b" / "2.parquet", "") for it in (past, source))
    differing = [(a, b) for a, b in zip(right, wrong, strict=True) if a != b]
    assert len(differing) == 4
    assert set(differing) <= {("2", "10"), ("10", "2")}
    delivered = content(source)
    assert delivered["b/3.parquet"] == before["b/3.parquet"]
    assert delivered["b/2.parquet"][1] == before["b/2.parquet"][1]
    assert content(past) == before


def test_a_file_behind_an_address_is_downloaded_once(past: Path, tmp_path: Path) -> None:
    uri, downloads = f"file://{past}", tmp_path / "downloads"
    arrivals = find_arrivals(uri, "folder")
    Deliveries(uri, arrivals, downloads)
    kept = content(downloads)
    assert kept == content(past)
    inodes = {path: path.stat().st_ino for path in downloads.rglob("*.parquet")}
    Deliveries(uri, arrivals, downloads)
    assert {path: path.stat().st_ino for path in inodes} == inodes
    write(past / "a" / "1.parquet", ["0", "1", "1"] * 10, 1_700_000_500)
    changed = Deliveries(uri, find_arrivals(uri, "folder"), downloads)
    assert changed.num_images(changed.arrivals[0]) == {"0": 10, "1": 20}


def test_a_file_that_is_no_parquet_is_named_by_its_original_path(
    past: Path, tmp_path: Path
) -> None:
    (past / "a" / "1.parquet").write_bytes(b"text")
    with pytest.raises(DataError, match=r"past/a/1\.parquet: is not a readable Parquet file"):
        Deliveries(str(past), find_arrivals(str(past), "folder"), tmp_path / "downloads")
