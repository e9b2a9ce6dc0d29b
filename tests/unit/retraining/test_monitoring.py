"""Images without labels between ticks: real digits, seen by networks trained on six of them."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from orchestrator.data.growing_folder import Folder, read_content
from orchestrator.retraining.changes import FindingKind
from orchestrator.retraining.monitoring.records import Look, MonitoringRecord
from orchestrator.retraining.monitoring.samples import held_out_images, held_out_rows
from orchestrator.retraining.scan import Scan, list_unlabeled, take_unlabeled
from orchestrator.retraining.state import ModelPair
from tests.unlabeled import noise, png
from tests.watched_camera import (
    KNOWN,
    NOWHERE,
    UNSEEN,
    WITHOUT,
    Camera,
    Known,
    champion_of_six,
    digits,
    retraining_of,
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return champion_of_six(tmp_path_factory.mktemp("arrivals"))


@pytest.fixture
def camera(known: Known, tmp_path: Path) -> Camera:
    return Camera(known, tmp_path / "camera")


def kinds(look: Look) -> set[FindingKind]:
    return {finding.kind for finding in look.findings}


# --- findings -------------------------------------------------------------------------------------


def test_images_of_known_classes_give_no_finding(camera: Camera) -> None:
    images = digits(KNOWN, WITHOUT)
    camera.deliver(images)
    look = camera.judged()
    assert look.findings == ()
    assert look.num_images == len(images)
    assert look.held_out_agreement > 0.8
    assert camera.findings() == []


def test_images_of_unknown_classes_are_far_from_every_class(
    camera: Camera,
) -> None:
    camera.deliver([*digits(UNSEEN, slice(60)), *digits(KNOWN, slice(100, 140))])
    look = camera.judged()
    assert FindingKind.FAR_IMAGES in kinds(look)
    assert look.far_share > 3 * look.expected_far_share
    [far] = [it for it in camera.findings() if it.kind == FindingKind.FAR_IMAGES]
    assert far.reaction == "warn"
    assert far.message.startswith(f"{100 * look.far_share:.1f} % of 480 new images without labels")
    assert far.message.endswith("seen 1970-01-12 13:46 UTC")


def test_a_shifted_class_mixture_is_reported_with_the_classes_that_moved(camera: Camera) -> None:
    camera.deliver(digits([0, 1], WITHOUT))
    look = camera.judged()
    assert kinds(look) == {FindingKind.CLASS_DRIFT}
    [drift] = look.findings
    assert {"0", "1"} <= {*drift.classes}
    assert look.class_distance > 0.5


def test_student_and_teacher_disagreement_on_new_images_is_reported(
    known: Known, tmp_path: Path
) -> None:
    """On upside-down images, the networks' random layers give different features."""
    camera = Camera(known, tmp_path / "camera", max_far_share=None, max_class_distance=None)
    camera.deliver([image[:, ::-1, ::-1].copy() for image in digits(KNOWN, slice(150))])
    look = camera.judged()
    assert look.agreement < look.held_out_agreement - 0.1
    assert kinds(look) == {FindingKind.AGREEMENT}


def test_signals_without_bounds_are_only_recorded(known: Known, tmp_path: Path) -> None:
    bounds = ("max_agreement_drop", "max_far_share", "max_class_distance")
    camera = Camera(known, tmp_path / "camera", **dict.fromkeys(bounds))
    camera.deliver(digits(UNSEEN, slice(60)))
    look = camera.judged()
    assert look.findings == ()
    assert look.far_share > 0.15


# --- judged images --------------------------------------------------------------------------------


def test_seen_files_are_neither_read_nor_predicted_again(camera: Camera) -> None:
    file = camera.deliver(digits(UNSEEN, slice(60)))
    camera.judged()
    remembered = camera.record
    written = file.stat().st_mtime_ns
    file.write_bytes(bytes(file.stat().st_size))
    os.utime(file, ns=(written, written))

    def fail(*_: object) -> None:
        pytest.fail("a network was used")

    handle = register_module_forward_pre_hook(fail)
    try:
        assert camera.look() is None
    finally:
        handle.remove()
    assert camera.record == remembered
    assert MonitoringRecord.from_bytes(remembered.as_bytes()) == remembered
    assert [it.kind for it in camera.findings()].count(FindingKind.FAR_IMAGES) == 1, "it stands"


def test_only_new_images_are_judged(camera: Camera) -> None:
    camera.deliver(digits(UNSEEN, slice(60)))
    assert FindingKind.FAR_IMAGES in kinds(camera.judged())
    camera.deliver(digits(KNOWN, slice(100, 140)))
    second = camera.judged()
    assert (second.number, second.num_images, second.findings) == (2, 240, ())
    assert camera.findings() == [], "the last look counts"


def test_few_images_wait_for_more(camera: Camera) -> None:
    images = digits(KNOWN, WITHOUT)
    camera.deliver(images[:30])
    assert camera.look() is None
    assert [*camera.record.waiting.values()] == [30]
    assert camera.record.held_out is None, "no network is needed for that"
    camera.deliver(images[30:60])
    assert camera.judged().num_images == 60
    assert not camera.record.waiting


def test_images_beyond_the_maximum_are_never_judged(known: Known, tmp_path: Path) -> None:
    camera = Camera(known, tmp_path / "camera", max_images=70)
    images = digits(KNOWN, WITHOUT)
    for start in range(0, 240, 60):
        camera.deliver(images[start : start + 60])
    look = camera.judged()
    assert (look.num_images, look.num_held_out) == (70, 70)
    assert camera.look() is None
    assert len(camera.record.looked_at) == 4


def test_a_duplicate_image_counts_once(camera: Camera) -> None:
    images = digits(KNOWN, WITHOUT)[:60]
    camera.deliver(images)
    camera.deliver(images)
    assert camera.judged().num_images == 60


def test_only_held_out_images_of_the_champions_training_files_count(
    known: Known, tmp_path: Path
) -> None:
    camera = Camera(known, tmp_path / "camera")
    camera.deliver(digits(KNOWN, WITHOUT))
    source = camera.retraining.source
    taken = take_unlabeled(source, list_unlabeled(source), [])
    lineage = known.champion.lineage.model_copy(update={"unlabeled": tuple(taken)})
    camera.champion = replace(known.champion, lineage=lineage)
    content = read_content(Folder(str(camera.folder)), "0.parquet", has_labels=False)
    assert camera.judged().num_images == len(held_out_rows(content, 0.5)) < 300


def test_the_reference_images_are_held_out_images_of_known_classes_and_files(known: Known) -> None:
    retraining = retraining_of(known.arrivals, NOWHERE, max_images=10_000)
    contents = [read_content(Folder(str(known.arrivals)), f"{digit}.parquet") for digit in KNOWN]
    distinct = {content.digests[row] for content in contents for row in held_out_rows(content, 0.5)}
    lineage, kept = known.champion.lineage, known.found.kept
    assert len(held_out_images(retraining, known.champion, kept)) == len(distinct)
    later = lineage.model_copy(update={"deliveries": {**lineage.deliveries, "0": 0}})
    fewer = len(held_out_images(retraining, replace(known.champion, lineage=later), kept))
    assert fewer == len(distinct) - len({*contents[0].digests} & distinct)


# --- errors ---------------------------------------------------------------------------------------


def test_damaged_files_and_images_are_reported_and_the_others_judged(camera: Camera) -> None:
    (camera.folder / "torn.parquet").write_bytes(b"PAR1")
    cells = [*map(png, digits(KNOWN, slice(100, 120))), b"no image"]
    pq.write_table(pa.table({"image": cells}), camera.folder / "holes.parquet")
    assert camera.judged().num_images == 120
    [finding] = camera.findings()
    assert (finding.kind, finding.reaction) == (FindingKind.NOT_MONITORED, "warn")
    assert "2 files without labels cannot be read completely" in finding.message
    assert "torn.parquet: is not a readable Parquet file" in finding.message
    assert "row 120: cannot be decoded" in finding.message
    (camera.folder / "torn.parquet").unlink()
    assert camera.look() is None
    assert "1 file without labels" in camera.findings()[0].message


def test_without_enough_held_out_images_nothing_is_judged_and_that_is_reported(
    known: Known, tmp_path: Path
) -> None:
    camera = Camera(known, tmp_path / "camera")
    camera.deliver(digits(KNOWN, WITHOUT))
    camera.found = Scan()
    assert camera.look() is None
    [finding] = camera.findings()
    assert "have 0 held-out images, 50 are needed" in finding.message
    camera.found = known.found
    assert camera.look() is None, "for this champion nothing has changed"
    camera.champion = replace(known.champion, pair=ModelPair("2", "2"))
    assert camera.judged().student == "2"
    assert camera.findings("2") == []


def test_findings_of_an_earlier_champion_are_not_the_current_ones(camera: Camera) -> None:
    camera.deliver(digits(UNSEEN, slice(60)))
    camera.judged()
    assert camera.findings("1")
    assert camera.findings("2") == []


def test_a_damaged_record_is_rejected() -> None:
    assert MonitoringRecord.from_bytes(None) == MonitoringRecord()
    assert MonitoringRecord.from_bytes(b'{"looks": [1]}') is None


def test_vanished_files_are_removed_from_the_record(camera: Camera) -> None:
    file = camera.deliver(noise(60))
    camera.judged()
    file.unlink()
    camera.look()
    assert not camera.record.looked_at
    assert len(camera.record.looks) == 1
