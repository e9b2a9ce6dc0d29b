"""Arriving files: their images, the held-out images, and the result of a scan."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config.data import ArrivalsConfig, ArrivedFile
from orchestrator.config.retraining_source import SourceConfig
from orchestrator.config.scenario import LearnedTasksConfig, ScenarioConfig
from orchestrator.data import Split, load_images
from orchestrator.data.growing_folder import Folder, is_held_out, read_content
from orchestrator.data.scenario_building import build_scenario
from orchestrator.errors import DataError
from orchestrator.retraining.lineage import Lineage, QuarantinedFile
from orchestrator.retraining.scan import Scan, scan


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), number % 256, np.uint8) ^ np.uint8(number // 256)).save(
        stream, "PNG"
    )
    return stream.getvalue()


def deliver(file: Path, labels: Sequence[object], start: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"image": [png(start + i) for i in range(len(labels))], "label": labels}), file
    )
    return file


def config(folder: Path, **changes: object) -> ArrivalsConfig:
    arrived = Folder(str(folder))
    names = [name for name in arrived.names() if name.endswith(".parquet")]
    files = [
        ArrivedFile(name=name, sha256=read_content(arrived, name).sha256, delivery=number)
        for number, name in enumerate(names, start=1)
    ]
    values = {
        "path": str(folder),
        "files": files,
        "image_size": 8,
        "num_channels": 1,
        "cache_dir": folder.parent / "cache",
    }
    return ArrivalsConfig.model_validate(values | changes)


# --- reading --------------------------------------------------------------------------------------


def test_each_class_is_read_up_to_its_last_delivery(tmp_path: Path) -> None:
    deliver(tmp_path / "in" / "1.parquet", ["a"] * 40 + ["b"] * 40)
    deliver(tmp_path / "in" / "2.parquet", ["a"] * 10 + ["c"] * 40, start=1000)
    table = load_images(config(tmp_path / "in", deliveries=[["a", 1], ["b", 2]]))
    names, counts = np.unique(table.labels, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"a": 40, "b": 40}


def test_held_out_images_depend_only_on_the_image(tmp_path: Path) -> None:
    """The same images are held out in another file, order and under other names."""
    deliver(tmp_path / "in" / "1.parquet", ["a"] * 400)
    deliver(tmp_path / "other" / "x.parquet", ["b"] * 200, start=200)
    one, other = (
        load_images(config(tmp_path / name, deliveries=[[label, 1]]))
        for name, label in (("in", "a"), ("other", "b"))
    )
    assert one.is_test[200:].tolist() == other.is_test.tolist()
    assert 0.12 < one.is_test.mean() < 0.28  # 0.2 of 400, ± four standard deviations
    digests = read_content(Folder(str(tmp_path / "in")), "1.parquet").digests
    assert [is_held_out(digest, 0.2) for digest in digests] == one.is_test.tolist()


def test_only_held_out_images_of_previously_learned_classes_are_read(tmp_path: Path) -> None:
    deliver(tmp_path / "in" / "1.parquet", [0] * 100 + [1] * 100)
    deliver(tmp_path / "in" / "2.parquet", [2] * 100, start=1000)
    whole = config(tmp_path / "in", deliveries=[["0", 1], ["1", 1], ["2", 2]])
    part = whole.model_copy(update={"held_out_only": ("0", "1")})
    rows = {"teacher_accuracies": [[1.0]], "student_accuracies": [[1.0]]}
    learned = LearnedTasksConfig.model_validate(
        {"num_tasks": 1, "teacher": "t", "student": "s", **rows}
    )
    of_all = build_scenario(load_images(whole), ScenarioConfig(tasks=((0, 1), (2,))), 0.0, 0)
    of_part = build_scenario(
        load_images(part), ScenarioConfig(tasks=((0, 1), (2,)), learned=learned), 0.0, 0
    )
    assert len(of_part.images_of(Split.TRAIN, [0, 1])) == 0
    assert of_part.fingerprint_of(of_part.tasks[1]) == of_all.fingerprint_of(of_all.tasks[1])
    assert of_part.fingerprint_of_judging(of_part.tasks[1]) == of_all.fingerprint_of_judging(
        of_all.tasks[1]
    )
    assert of_part.num_learned_tasks == 1


def test_a_file_that_changed_after_it_was_recorded_is_not_read(tmp_path: Path) -> None:
    deliver(tmp_path / "in" / "1.parquet", ["a"] * 10)
    taken_in = config(tmp_path / "in", deliveries=[["a", 1]])
    deliver(tmp_path / "in" / "1.parquet", ["a"] * 11)
    with pytest.raises(DataError, match="has changed since it was recorded"):
        load_images(taken_in)


def test_pixel_lists_are_read_like_encoded_images(tmp_path: Path) -> None:
    file = tmp_path / "in" / "1.parquet"
    file.parent.mkdir()
    pixels = [np.full((8, 8), value).tolist() for value in range(20)]
    pq.write_table(pa.table({"image": pixels, "label": ["a"] * 20}), file)
    assert load_images(config(tmp_path / "in", deliveries=[["a", 1]])).images[7].max() == 7


# --- scanning -------------------------------------------------------------------------------------


class Source:
    """A folder, and the champion's record of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lineage = Lineage()

    def scan(
        self,
        quarantined: Sequence[QuarantinedFile] = (),
        now: float | None = None,
        **settings: object,
    ) -> Scan:
        values = {"path": str(self.folder), "settled_seconds": 0} | settings
        return scan(SourceConfig.model_validate(values), self.lineage, quarantined, now)

    def learn(self) -> None:
        """Record all present files as learned."""
        found = self.scan()
        files = (*found.kept, *(file.taken(self.lineage.last_delivery + 1) for file in found.new))
        self.lineage = self.lineage.model_copy(update={"files": files})


@pytest.fixture
def source(tmp_path: Path) -> Source:
    deliver(tmp_path / "in" / "1.parquet", ["a"] * 5 + ["b"] * 3)
    return Source(tmp_path / "in")


def test_a_new_file_is_counted_by_class(source: Source) -> None:
    found = source.scan()
    assert found.new_images() == {"a": 5, "b": 3}
    assert (found.kept, found.num_files) == ([], 1)


def test_a_known_file_is_not_read_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.learn()
    monkeypatch.setattr(
        "orchestrator.retraining.scan.read_content", lambda *_: pytest.fail("it was read")
    )
    assert [file.name for file in source.scan().kept] == ["1.parquet"]


def test_a_file_with_only_a_new_timestamp_is_unchanged(source: Source) -> None:
    source.learn()
    os.utime(source.folder / "1.parquet", (1, 1))
    found = source.scan()
    assert [file.modified for file in found.kept] == [1.0]
    assert not found.changed


def test_a_renamed_file_is_recognised(source: Source) -> None:
    source.learn()
    (source.folder / "1.parquet").rename(source.folder / "one.parquet")
    found = source.scan()
    assert ([file.name for file in found.kept], found.new, found.vanished) == (
        ["one.parquet"],
        [],
        [],
    )


def test_changed_and_vanished_files_are_distinguished(source: Source) -> None:
    deliver(source.folder / "2.parquet", ["c"] * 4, start=50)
    source.learn()
    deliver(source.folder / "1.parquet", ["a"] * 6)
    (source.folder / "2.parquet").unlink()
    found = source.scan()
    assert [file.name for file in found.changed] == ["1.parquet"]
    assert [file.name for file in found.vanished] == ["2.parquet"]


def test_files_that_may_still_grow_are_skipped(source: Source) -> None:
    written = (source.folder / "1.parquet").stat().st_mtime
    assert source.scan(now=written + 59, settled_seconds=60).unsettled == ["1.parquet"]
    assert source.scan(now=written + 61, settled_seconds=60).num_files == 1
    assert source.scan(marker=".done").unsettled == ["1.parquet"]


def test_a_known_file_that_is_being_rewritten_is_neither_changed_nor_vanished(
    source: Source,
) -> None:
    source.learn()
    (source.folder / "1.parquet").write_bytes(b"half")
    found = source.scan(settled_seconds=60)
    assert [file.name for file in found.rewritten] == ["1.parquet"]
    assert (found.vanished, found.changed, found.unsettled) == ([], [], [])


def test_hidden_files_hidden_folders_and_other_file_types_are_skipped(source: Source) -> None:
    for name in (".1.parquet", "_tmp/2.parquet", "notes.txt"):
        deliver(source.folder / name, ["z"])
    deliver(source.folder / "2026" / "11" / "3.parquet", ["c"] * 4, start=70)
    assert [file.name for file in source.scan().new] == ["1.parquet", "2026/11/3.parquet"]


def test_a_quarantined_file_is_skipped_under_any_name_until_it_changes(source: Source) -> None:
    (new,) = source.scan().new
    quarantined = [QuarantinedFile(name="1.parquet", sha256=new.sha256, reason="wrong labels")]
    (source.folder / "1.parquet").rename(source.folder / "2.parquet")
    found = source.scan(quarantined)
    assert (found.new, [file.reason for file in found.quarantined]) == ([], ["wrong labels"])
    deliver(source.folder / "2.parquet", ["a"] * 6)
    assert len(source.scan(quarantined).new) == 1
