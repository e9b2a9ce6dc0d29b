"""The user's private folder in the shared temporary folder, and the cleanup after killed
processes.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import StorageUnavailableError
from orchestrator.private_folder import private_folder, scratch_folder

HOLD = """
import time
from orchestrator.private_folder import scratch_folder
with scratch_folder("champion") as folder:
    (folder / "model").write_bytes(bytes(7))
    print(folder, flush=True)
    time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_open_to_its_owner_alone(temporary: Path) -> None:
    folder = private_folder()
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert private_folder().stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_folders_place_is_refused(temporary: Path) -> None:
    target = temporary / "target"
    target.mkdir()
    private_folder().rmdir()
    (temporary / f"orchestrator-{target.stat().st_uid}").symlink_to(target)
    with pytest.raises(StorageUnavailableError, match="is a link, or belongs to another user"):
        private_folder()


def test_a_scratch_folder_is_removed_after_use() -> None:
    with scratch_folder("champion") as folder:
        (folder / "file").touch()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [*private_folder().iterdir()] == []


def test_scratch_folders_of_killed_processes_are_removed_and_those_of_living_ones_kept() -> None:
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        killed, living = (
            Path((holder.stdout or sys.stdin).readline().strip()) for holder in holders
        )
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        assert (killed / "model").exists()
        with scratch_folder("ray"):
            assert not killed.exists()
            assert (living / "model").exists()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            (holder.stdout or sys.stdin).close()


def test_files_other_than_scratch_folders_are_kept() -> None:
    file = private_folder() / "tracking-0123456789abcdef.lock"
    file.touch()
    with scratch_folder("champion"):
        assert file.exists()
