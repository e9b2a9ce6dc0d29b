"""The ledger: reading back, recovery after a killed writer, and exclusive writing."""

import json
import shutil
import time
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, LockedError, StorageUnavailableError
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader
from orchestrator.tuning.trial_status import TrialStatus

HEADER = SweepHeader("sweep", {"name": "tiny"}, {"name": "space", "metric": "student/forgetting"})
CONFIGURATION = Configuration({"a/quantile": 0.1}, {"a": [1, 2.5, None]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "ledger.jsonl"


def trial_of(
    number: int, status: TrialStatus = TrialStatus.RUNNING, *, is_retryable: bool = False
) -> LedgerTrial:
    return LedgerTrial(number, CONFIGURATION, f"run {number}", status, is_retryable=is_retryable)


def written(path: Path, *trials: LedgerTrial) -> Ledger:
    ledger = Ledger(path)
    with ledger.writing():
        ledger.begin(HEADER)
        for trial in trials:
            ledger.write(trial)
    return ledger


def test_a_missing_ledger_is_empty(path: Path) -> None:
    ledger = Ledger(path)
    assert (ledger.header, ledger.trials) == (None, {})
    assert not path.parent.exists()


def test_written_trials_are_read_back_and_the_newest_line_of_a_trial_counts(path: Path) -> None:
    finished = LedgerTrial(
        1,
        CONFIGURATION,
        "run",
        TrialStatus.FINISHED,
        0.1 + 0.2,
        [0.5, 0.1 + 0.2],
        "",
        3,
        3,
        1.25,
        0.5,
        False,
        0,
    )
    ledger = written(path, trial_of(0), trial_of(1), finished)
    again = Ledger(path)
    assert again.header == HEADER
    assert again.trials == ledger.trials == {0: trial_of(0), 1: finished}
    assert isinstance(again.trials[1].status, TrialStatus)


def test_the_newest_header_counts(path: Path) -> None:
    written(path)
    ledger = Ledger(path)
    wider = SweepHeader("sweep", {"name": "tiny"}, {"name": "a wider space"})
    with ledger.writing():
        ledger.begin(wider)
    assert Ledger(path).header == wider


def test_a_truncated_file_reads_as_its_complete_lines(path: Path) -> None:
    written(path, trial_of(0), trial_of(1, TrialStatus.FINISHED))
    content = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]
    for length in range(0, len(content) + 1, 7):
        path.write_bytes(content[:length])
        num_whole = sum(end <= length for end in ends)
        assert len(Ledger(path).trials) == max(0, num_whole - 1)


@pytest.mark.parametrize("lost", [1, 20])
def test_an_incomplete_line_of_a_killed_writer_is_removed_before_the_next(
    path: Path, lost: int
) -> None:
    written(path, trial_of(0), trial_of(1))
    path.write_bytes(path.read_bytes()[:-lost])
    ledger = Ledger(path)
    assert set(ledger.trials) == {0}
    with ledger.writing():
        ledger.write(trial_of(2))
    assert set(Ledger(path).trials) == {0, 2}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_two_processes_cannot_write_at_the_same_time(path: Path) -> None:
    written(path)
    with (
        Ledger(path).writing(),
        pytest.raises(LockedError, match="another sweep is writing here") as locked,
        Ledger(path).writing(),
    ):
        pass
    assert locked.value.exit_code == 3, "waiting helps"
    with Ledger(path).writing():
        pass


def test_lines_written_by_another_process_meanwhile_are_kept(path: Path) -> None:
    written(path, trial_of(0))
    late = Ledger(path)
    other = Ledger(path)
    with other.writing():
        other.write(trial_of(1))
    with pytest.raises(LockedError, match="another sweep has just written here"), late.writing():
        pass
    assert set(Ledger(path).trials) == {0, 1}


@pytest.mark.parametrize(
    "line", ["no json", "{}", '{"trial": {"number": 0}}', '{"sweep": {"id": 1}}', "[1]", "7"]
)
def test_a_file_that_is_no_ledger_is_rejected_with_the_line(path: Path, line: str) -> None:
    written(path, trial_of(0))
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ConfigError, match=r"ledger\.jsonl: line 3 is not a ledger entry"):
        Ledger(path)


def test_a_folder_removed_during_the_sweep_is_reported_as_such(path: Path) -> None:
    ledger = written(path, trial_of(0))
    shutil.rmtree(path.parent)
    with pytest.raises(StorageUnavailableError, match="the folder is gone: rerun without --resume"):
        ledger.write(trial_of(1))


def test_bytes_that_are_no_text_are_reported(path: Path) -> None:
    written(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(StorageUnavailableError, match="cannot be read"):
        Ledger(path)


def test_a_folder_that_cannot_be_made_is_a_retryable_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageUnavailableError, match="cannot be written"),
        Ledger(tmp_path / "file" / "ledger.jsonl").writing(),
    ):
        pass


@pytest.mark.parametrize(
    ("status", "is_retryable", "expected"),
    [
        (TrialStatus.RUNNING, False, True),
        (TrialStatus.INTERRUPTED, False, True),
        (TrialStatus.FINISHED, False, False),
        (TrialStatus.STOPPED, False, False),
        (TrialStatus.FAILED, False, False),
        (TrialStatus.FAILED, True, True),
    ],
)
def test_a_resumed_sweep_continues_the_open_trials(
    status: TrialStatus, is_retryable: bool, expected: bool
) -> None:
    assert trial_of(0, status, is_retryable=is_retryable).is_open is expected


def fail_later() -> None:
    time.sleep(0.05)
    raise ZeroDivisionError


def test_the_time_of_all_starts_adds_up_including_failed_ones(path: Path) -> None:
    written(path)
    first = Ledger(path)
    with first.writing(), pytest.raises(ZeroDivisionError), first.timing():
        fail_later()
    assert first.wall_seconds >= 0.05
    second = Ledger(path)
    assert second.wall_seconds == first.wall_seconds
    with second.writing(), second.timing():
        time.sleep(0.05)
    assert Ledger(path).wall_seconds == pytest.approx(second.wall_seconds)
    assert second.wall_seconds >= 0.1
