"""A candidate learns from the right unlabelled files."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.config import Retraining
from orchestrator.config.retraining_source import SourceConfig
from orchestrator.config.unlabeled import UnlabeledArrivalsConfig
from orchestrator.errors import DataError
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.scan import Scan, list_unlabeled, take_unlabeled
from orchestrator.stages import prepare_work
from tests.unlabeled import noise, write_unlabeled


def source(camera: Path, **settings: Any) -> SourceConfig:  # noqa: ANN401
    return SourceConfig.model_validate(
        {"path": "/arrivals", "settled_seconds": 60, "unlabeled": {"path": str(camera)}, **settings}
    )


def aged(path: Path, seconds: int) -> Path:
    """Set the file's time long before 1,000,000 s after 1970."""
    os.utime(path, (1_000_000 - seconds, 1_000_000 - seconds))
    return path


def names(found: list[Any]) -> list[str]:
    return [file.name for file in found]


def test_settled_parquet_files_are_found_at_any_depth(tmp_path: Path) -> None:
    aged(write_unlabeled(tmp_path / "a.parquet", noise(1)), 100)
    aged(write_unlabeled(tmp_path / "day" / "b.parquet", noise(1)), 100)
    aged(write_unlabeled(tmp_path / "new.parquet", noise(1)), 10)
    (tmp_path / "notes.txt").touch()
    assert names(list_unlabeled(source(tmp_path), 1_000_000)) == ["a.parquet", "day/b.parquet"]


def test_a_marker_settles_files_without_labels_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_unlabeled(tmp_path / f"{name}.parquet", noise(1))
    (tmp_path / "b.parquet.done").touch()
    assert names(list_unlabeled(source(tmp_path, marker=".done"))) == ["b.parquet"]


def test_a_nonexistent_folder_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"correct source\.unlabeled\.path"):
        list_unlabeled(source(tmp_path / "nowhere"))


def test_known_files_come_first_and_are_not_read_again(tmp_path: Path) -> None:
    settings = source(tmp_path, settled_seconds=0)
    known = aged(write_unlabeled(tmp_path / "b.parquet", noise(1)), 0)
    before = take_unlabeled(settings, list_unlabeled(settings), [])
    write_unlabeled(tmp_path / "a.parquet", noise(2))
    known.write_bytes(bytes(known.stat().st_size))
    aged(known, 0)
    after = take_unlabeled(settings, list_unlabeled(settings), before)
    assert names(after) == ["b.parquet", "a.parquet"]
    assert after[0] is before[0]


def test_a_changed_file_is_recorded_anew_and_a_vanished_one_is_dropped(
    tmp_path: Path,
) -> None:
    settings = source(tmp_path, settled_seconds=0)
    for name in ("a", "b"):
        write_unlabeled(tmp_path / f"{name}.parquet", noise(1))
    before = take_unlabeled(settings, list_unlabeled(settings), [])
    (tmp_path / "a.parquet").unlink()
    write_unlabeled(tmp_path / "b.parquet", noise(3))
    [after] = take_unlabeled(settings, list_unlabeled(settings), before)
    assert after.name == "b.parquet"
    assert after.sha256 != before[1].sha256


# --- candidates -----------------------------------------------------------------------------------


def candidate(settings: SourceConfig, **experiment: Any) -> UnlabeledArrivalsConfig | None:  # noqa: ANN401
    retraining = Retraining.model_validate({"experiment": experiment, "source": settings})
    plan = ChangePlan((), new_classes=(0, 1))
    found = Scan()
    taken = take_unlabeled(settings, list_unlabeled(settings), [])
    draft = draft_lineage(retraining.experiment, Lineage(), found, plan, taken)
    draft = draft.model_copy(update={"files": ARRIVED})
    unlabeled = candidate_experiment(retraining, None, draft, plan).data.unlabeled
    assert unlabeled is None or isinstance(unlabeled, UnlabeledArrivalsConfig)
    return unlabeled


ARRIVED = Lineage.model_validate(
    {
        "files": [
            {
                "name": "1.parquet",
                "sha256": 64 * "0",
                "num_bytes": 1,
                "modified": 0,
                "delivery": 1,
                "num_images": {},
            }
        ]
    }
).files


def test_a_candidate_uses_present_files_and_the_held_out_fraction(tmp_path: Path) -> None:
    write_unlabeled(tmp_path / "a.parquet", noise(1))
    settings = source(
        tmp_path,
        settled_seconds=0,
        held_out_fraction=0.3,
        unlabeled={"path": str(tmp_path), "max_images": 7},
    )
    found = candidate(settings)
    assert found is not None
    assert found.path == str(tmp_path)
    assert [file.name for file in found.files] == ["a.parquet"]
    assert (found.held_out_fraction, found.max_images) == (0.3, 7)


def test_without_arrivals_a_candidate_has_no_images_without_labels(tmp_path: Path) -> None:
    assert candidate(source(tmp_path)) is None


def test_a_candidate_may_have_only_held_out_images_without_labels(tmp_path: Path) -> None:
    from orchestrator.config import Experiment

    write_unlabeled(tmp_path / "a.parquet", noise(2))
    settings = source(tmp_path, settled_seconds=0, held_out_fraction=1 - 1e-12)
    unlabeled = candidate(settings)
    assert unlabeled is not None
    data = {"cache_dir": str(tmp_path / "cache"), "unlabeled": unlabeled}
    experiment = Experiment.model_validate({"data": data, "store": {"uri": str(tmp_path / "s")}})
    assert prepare_work(experiment).scenario.unlabeled is None


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["/arrivals", "/arrivals/camera"])
def test_the_folder_without_labels_may_not_be_inside_the_one_with_labels(camera: str) -> None:
    with pytest.raises(ValidationError, match="give a folder outside it"):
        source(Path(camera))
    assert source(Path("/arrivals-camera")).unlabeled is not None


def test_images_without_labels_are_configured_in_one_place_only() -> None:
    camera = {"kind": "parquet", "path": "/camera.parquet"}
    values = {"source": source(Path("/camera")), "experiment": {"data": {"unlabeled": camera}}}
    with pytest.raises(ValidationError, match="remove one of them"):
        Retraining.model_validate(values)
