"""A process counts as ended only if that is certain."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.tracking.run_process import RunProcess, recorded_process, this_process

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere there is no /proc, and no process is recorded"
)


@pytest.fixture
def here() -> RunProcess:
    process = this_process()
    assert process is not None
    return process


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def child_process(child: "subprocess.Popen[bytes]", here: RunProcess) -> RunProcess:
    # `sleep` has no space in its name, so field 22 of proc_pid_stat(5) is the 22nd word.
    start_ticks = Path(f"/proc/{child.pid}/stat").read_text().split()[21]
    return replace(here, pid=child.pid, start_ticks=start_ticks)


def test_this_process_knows_its_host_and_its_pid(here: RunProcess) -> None:
    assert (here.host, here.pid) == (socket.gethostname(), os.getpid())


def test_a_process_knows_when_it_started() -> None:
    code = (
        "from orchestrator.tracking.run_process import this_process;"
        " print(this_process().start_ticks)"
    )
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    # One tick of tolerance: both ends are rounded.
    num_ticks_per_second = os.sysconf("SC_CLK_TCK")
    assert (
        before - 1 / num_ticks_per_second
        <= int(said) / num_ticks_per_second
        <= time.clock_gettime(time.CLOCK_BOOTTIME)
    )


def test_the_tags_of_a_process_survive_a_round_trip(here: RunProcess) -> None:
    assert recorded_process(here.tags()) == here


def test_this_process_is_not_gone(here: RunProcess) -> None:
    assert not here.is_gone(here)


def test_a_living_process_is_not_gone(child_process: RunProcess, here: RunProcess) -> None:
    assert not child_process.is_gone(here)


def test_a_killed_process_is_gone_even_before_its_parent_reaps_it(
    child: "subprocess.Popen[bytes]", child_process: RunProcess, here: RunProcess
) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}/stat").exists()  # a zombie
    assert child_process.is_gone(here)
    child.wait()
    assert child_process.is_gone(here)


def test_a_process_whose_pid_was_reused_is_gone(
    child_process: RunProcess, here: RunProcess
) -> None:
    assert replace(child_process, start_ticks=str(int(child_process.start_ticks) - 1)).is_gone(here)


def test_a_process_from_before_a_reboot_is_gone(
    child_process: RunProcess, here: RunProcess
) -> None:
    assert replace(child_process, boot="0b00feed-0000-4000-8000-000000000000").is_gone(here)


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "another-host"}, {"host": "another-host", "boot": "b"}, {"pid_namespace": "1"}],
    ids=str,
)
def test_an_invisible_process_is_not_reported_as_gone(
    elsewhere: dict[str, str],
    child: "subprocess.Popen[bytes]",
    child_process: RunProcess,
    here: RunProcess,
) -> None:
    child.kill()
    child.wait()
    assert not replace(child_process, **elsewhere).is_gone(here)  # type: ignore[arg-type]  # none of them is the pid


def test_a_process_hidden_by_proc_is_not_gone_if_the_kernel_knows_it(
    child: "subprocess.Popen[bytes]",
    child_process: RunProcess,
    here: RunProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.tracking.run_process.PROC", tmp_path)
    assert not child_process.is_gone(here)
    child.kill()
    child.wait()
    assert child_process.is_gone(here)


def test_without_a_usable_proc_no_process_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.run_process.PROC", tmp_path)
    assert this_process() is None


def test_a_proc_of_another_pid_namespace_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").symlink_to(str(os.getpid() + 1))
    monkeypatch.setattr("orchestrator.tracking.run_process.PROC", tmp_path)
    assert this_process() is None


def test_a_program_name_may_contain_parentheses_and_spaces(
    tmp_path: Path, here: RunProcess
) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as odd:
        try:
            ticks = (
                Path(f"/proc/{odd.pid}/stat")
                .read_text()
                .replace(f"({program.name})", "(name)")
                .split()[21]
            )
            assert not replace(here, pid=odd.pid, start_ticks=ticks).is_gone(here)
        finally:
            odd.kill()


@pytest.mark.parametrize(
    "damage",
    [
        {"orchestrator.host": ""},
        {"orchestrator.process": ""},
        {"orchestrator.process": "0"},
        {"orchestrator.process": "-1"},
        {"orchestrator.process": "9" * 30},
        {"orchestrator.process_started": "2026-11-30"},
    ],
    ids=str,
)
def test_damaged_tags_identify_no_process(damage: dict[str, str], here: RunProcess) -> None:
    assert recorded_process(here.tags() | damage) is None


def test_missing_tags_identify_no_process() -> None:
    assert recorded_process({}) is None
