"""Files are written atomically, under unpredictable names, and without following links."""

import os
import time
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from orchestrator.errors import StorageUnavailableError
from orchestrator.figures.saving import save_figure
from orchestrator.models.artifact import Artifact
from orchestrator.reporting.pages import write_page
from orchestrator.stages.store import StageStore
from orchestrator.whole_files import write_whole

KEY = "a" * 64


def test_a_planted_link_is_replaced_by_a_report_and_not_followed(tmp_path: Path) -> None:
    """At the target name, and at the temporary name, which used to be predictable."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    for name in ("report.html", ".report.html.tmp"):
        (tmp_path / name).symlink_to(precious)
    write_page(tmp_path / "report.html", "new")
    assert precious.read_text() == "keep"
    assert not (tmp_path / "report.html").is_symlink()
    assert (tmp_path / "report.html").read_text() == "new"


def test_a_planted_link_is_replaced_by_a_picture_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "x.png").symlink_to(precious)
    save_figure(Figure(), tmp_path / "x.png")
    assert precious.read_text() == "keep"
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_only_the_file_remains_and_stale_temporary_files_are_removed(tmp_path: Path) -> None:
    stale, fresh, other = (
        tmp_path / f".{name}.{16 * digit}.tmp"
        for name, digit in (("a[1].csv", "0"), ("a[1].csv", "1"), ("b.csv", "2"))
    )
    for file in (stale, fresh, other):
        file.touch()
    for file in (stale, other):
        os.utime(file, 2 * (time.time() - 7200,))
    write_whole(tmp_path / "a[1].csv", "x", mode=0o600)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a[1].csv", fresh, other])
    assert (tmp_path / "a[1].csv").stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "x", "content")
    assert [*tmp_path.iterdir()] == [tmp_path / "x"]


@pytest.mark.parametrize("link", [KEY, "progress", f"progress/{KEY}", f"progress/{KEY}/student"])
def test_a_store_follows_no_link_to_a_stage(link: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    store = StageStore(str(tmp_path / "store"))
    place = tmp_path / "store" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(target)
    for use in (
        (
            lambda: store.save(KEY, Artifact({})),
            lambda: store.load(KEY),
            lambda: store.values_of(KEY),
        )
        if link == KEY
        else (
            lambda: store.save_progress(KEY, "student", Artifact({})),
            lambda: store.load_progress(KEY, "student"),
        )
    ):
        with pytest.raises(StorageUnavailableError, match="is a link, remove it"):
            use()
    assert [*target.iterdir()] == []


def test_the_store_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = StageStore(str(tmp_path / "store"))
    store.save(KEY, Artifact({}, {"a": 1}))
    assert store.values_of(KEY) == {"a": 1}
