"""`orchestrator init` copies the shipped files and keeps existing ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import load_any
from orchestrator.errors import UserInputError
from orchestrator.pipelines.starters.starters import copy_starters
from orchestrator.terminal.starters import starter_lines

ROOT = Path(__file__).parents[4]


def test_every_shipped_file_is_written_and_readable(tmp_path: Path) -> None:
    copied = copy_starters(tmp_path / "mine")
    shipped = {
        file.relative_to(ROOT)
        for folder in ("experiments", "search_spaces")
        for file in (ROOT / folder).iterdir()
        if file.is_file()
    }
    assert set(copied.written) == shipped
    for name in shipped:
        assert (tmp_path / "mine" / name).read_bytes() == (ROOT / name).read_bytes()
    load_any(tmp_path / "mine/experiments/digits.yaml")
    assert list(starter_lines(copied))[-1].endswith("mine/experiments/digits.yaml")


def test_existing_files_are_kept(tmp_path: Path) -> None:
    copy_starters(tmp_path)
    own, gone = tmp_path / "experiments/digits.yaml", tmp_path / "search_spaces/smoke.yaml"
    own.write_text("name: mine")
    gone.unlink()
    copied = copy_starters(tmp_path)
    assert copied.written == [Path("search_spaces/smoke.yaml")]
    assert copied.kept == [Path("experiments/digits.yaml")]
    assert own.read_text() == "name: mine"
    own.write_bytes((ROOT / "experiments/digits.yaml").read_bytes())
    assert "already" in next(starter_lines(copy_starters(tmp_path)))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserInputError, match=r"file: cannot be written to .*name another folder"):
        copy_starters(tmp_path / "file")
