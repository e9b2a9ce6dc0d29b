"""The output folder: one process at a time, and exit code 2 for an impossible path."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.errors import LockedError, UserInputError
from orchestrator.pipelines.run.output_folder import held_folder, make_writable
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import InMemoryTracker


def test_a_second_run_into_one_folder_is_rejected_before_anything_is_tracked(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    tracker, earlier = InMemoryTracker(), tmp_path / "summary.json"
    earlier.write_text("{}")
    with held_folder(tmp_path, "a run"), pytest.raises(LockedError) as refused:
        run(tiny_experiment, tmp_path, tracker=tracker)
    holder = f"a run (process {os.getpid()} on {socket.gethostname()}, since "
    assert str(refused.value).startswith(f"{tmp_path}: {holder}")
    assert str(refused.value).endswith("wait until that command ends, or choose another --output")
    assert (refused.value.exit_code, tracker.status, tracker.parameters) == (3, None, {})
    assert earlier.read_text() == "{}", "the summary of the first run is left alone"


def test_a_folder_is_free_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held_folder(tmp_path, "a run"):
        raise ZeroDivisionError
    with held_folder(tmp_path, "a sweep"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_the_error_of_a_command_whose_folder_was_removed_is_not_replaced(tmp_path: Path) -> None:
    def removed(folder: Path) -> None:
        shutil.rmtree(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), held_folder(tmp_path / "out", "a sweep"):
        removed(tmp_path / "out")


@pytest.mark.parametrize("path", ["file", "file/out", "n" * 300])
def test_a_path_that_cannot_be_a_folder_is_a_user_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError, match=r"cannot be written .*; choose another --output"):
        make_writable(tmp_path / path)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that takes no files")
def test_an_unwritable_folder_is_rejected() -> None:
    with pytest.raises(UserInputError, match="cannot be written"):
        make_writable(Path("/proc/out"))


def test_folders_made_in_vain_are_removed_and_existing_ones_are_kept(tmp_path: Path) -> None:
    def refused(folder: Path) -> None:
        with pytest.raises(UserInputError, match="no such data"), held_folder(folder, "a run"):
            raise UserInputError("no such data")

    refused(tmp_path / "out" / "run")
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    refused(tmp_path / "mine" / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    (tmp_path / "mine" / "notes.txt").touch()
    refused(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").exists()
