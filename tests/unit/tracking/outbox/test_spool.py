"""Spooled entries are complete, ordered, private to their owner, and removed once delivered."""

import logging
import math
import os
import shutil
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.tracking.outbox.entries import Entry, Points, Tags
from orchestrator.tracking.outbox.spool import Destination, Spool
from tests.unit.tracking.outbox.full_disk import file_size_limit

DESTINATION = Destination("postgresql://me:secret@host/runs", "an experiment")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.begin(tmp_path, "a_run", DESTINATION)


def points(step: int, value: float = 0.5) -> Points:
    return Points(run="a_run", time_ms=1, values=[("loss", value, step)])


def killed(spool: Spool) -> Path:
    """Simulate a killed process: nothing is tidied up, and the kernel releases the lock."""
    spool._lock.release()
    return spool.folder


def entries(spool: Spool) -> list[Entry]:
    return [entry for entry, _ in spool.waiting()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_waiting_entries_are_read_in_logging_order_after_the_delivered_ones(
    spool: Spool,
) -> None:
    ends = [spool.append(points(step)) for step in range(1, 6)]
    spool.note_delivered(ends[1], {"here": "there"})
    (again,) = Spool.left_behind(killed(spool).parent)
    assert entries(again) == [points(3), points(4), points(5)]
    assert again.delivered.run_ids == {"here": "there"}
    assert again.destination == Destination("postgresql://***@host/runs", DESTINATION.experiment)


def test_no_file_of_a_spool_contains_the_secret_of_its_store(spool: Spool) -> None:
    spool.append(points(1))
    spool.note_delivered(0, {})
    files = [path for path in spool.folder.rglob("*") if path.is_file()]
    assert len(files) > 1
    assert not [path.name for path in files if b"secret" in path.read_bytes()]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5e-324, 0.1 + 0.2])
def test_every_number_survives_a_round_trip(spool: Spool, value: float) -> None:
    spool.append(points(1, value))
    ((entry, _),) = spool.waiting()
    assert isinstance(entry, Points)
    (read,) = entry.values
    assert read[1] == value or (math.isnan(read[1]) and math.isnan(value))


def test_only_the_owner_can_read_a_spool(spool: Spool) -> None:
    spool.append(points(1))
    spool.note_delivered(0, {})
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in spool.folder.iterdir()} == {0o600}


def test_a_deferred_entry_still_waits_after_later_ones_are_delivered(
    spool: Spool,
) -> None:
    first, last = spool.append(points(1)), spool.append(points(2))
    spool.note_delivered(last, {}, [points(1)])
    spool.close()
    (again,) = Spool.left_behind(spool.folder.parent)
    assert (entries(again), again.aside()) == ([], [points(1)])
    again.note_delivered(first, {})
    assert again.delivered.offset == last
    again.close()
    assert names_in(spool.folder.parent) == []


def test_a_session_is_removed_once_everything_is_delivered(spool: Spool) -> None:
    spool.note_delivered(spool.append(points(1)), {})
    spool.close()
    assert names_in(spool.folder.parent) == []


def test_an_unfinished_last_line_is_ignored_and_does_not_keep_the_session(spool: Spool) -> None:
    end = spool.append(points(1))
    with (spool.folder / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"run": "a_run", "kin')
    (again,) = Spool.left_behind(killed(spool).parent)
    assert entries(again) == [points(1)]
    again.note_delivered(end, {})
    again.close()
    assert names_in(spool.folder.parent) == []


def test_refused_entries_are_kept_with_the_reason_and_not_read_again(spool: Spool) -> None:
    spool.note_delivered(spool.append(points(1)), {})
    spool.note_refused(points(1), "not today")
    spool.close()
    assert "not today" in (spool.folder / "refused.jsonl").read_text()
    assert list(Spool.left_behind(spool.folder.parent)) == []


def test_sessions_are_found_in_the_order_of_their_start(tmp_path: Path) -> None:
    begun = [Spool.begin(tmp_path, run_id, DESTINATION) for run_id in ("c", "a", "b", "a")]
    for second, spool in enumerate(begun):
        spool.append(points(1))
        os.utime(spool.folder / "destination.json", (second, second))
        killed(spool)
    assert [spool.folder for spool in Spool.left_behind(tmp_path)] == [
        spool.folder for spool in begun
    ]


def test_sessions_of_living_processes_and_of_other_readers_are_skipped(
    spool: Spool,
) -> None:
    spool.append(points(1))
    assert list(Spool.left_behind(spool.folder.parent)) == []
    killed(spool)
    looked_at = next(Spool.left_behind(spool.folder.parent))
    assert list(Spool.left_behind(spool.folder.parent)) == []
    looked_at.close()
    assert len(list(Spool.left_behind(spool.folder.parent))) == 1


def test_a_lock_is_held_until_its_file_is_removed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits for a lock whose file is removed after its release must not acquire it:
    its entries would never be found.
    """
    lock_file = spool.folder.with_name(f"{spool.folder.name}.lock")
    there_at_release = []
    release = FileLock.release

    def watched(lock: FileLock, force: bool = False) -> None:
        there_at_release.append(lock_file.exists())
        release(lock, force)

    monkeypatch.setattr(FileLock, "release", watched)
    spool.close()
    assert there_at_release == [False]


def test_a_process_killed_while_creating_its_session_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a_run-1.lock").touch()
    (tmp_path / "a_run-1").mkdir()
    (tmp_path / "a_run-2.lock").touch()
    assert list(Spool.left_behind(tmp_path)) == []
    assert names_in(tmp_path) == []


def test_an_unreadable_session_does_not_hide_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = (Spool.begin(tmp_path, run_id, DESTINATION) for run_id in ("broken", "whole"))
    for spool in (broken, whole):
        spool.append(points(1))
        killed(spool)
    (broken.folder / "destination.json").write_bytes(b"\0" * 40)
    with caplog.at_level(logging.WARNING):
        assert [spool.folder for spool in Spool.left_behind(tmp_path)] == [whole.folder]
    assert f"{broken.folder} cannot be read" in caplog.text
    assert "delete it" in caplog.text


def test_without_a_readable_position_everything_is_sent_again(
    spool: Spool,
) -> None:
    spool.note_delivered(spool.append(points(1)), {})
    (spool.folder / "delivered.json").write_bytes(b"")
    (again,) = Spool.left_behind(killed(spool).parent)
    assert entries(again) == [points(1)]


def test_a_line_that_is_no_entry_is_reported_with_its_position(spool: Spool) -> None:
    end = spool.append(points(1))
    with (spool.folder / "journal.jsonl").open("ab") as journal:
        journal.write(b"gibberish\n")
    with pytest.raises(
        UserInputError,
        match=rf"line at byte {end} is not an entry .*gibberish.*delete the line",
    ):
        spool.waiting()


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_journal_unchanged(spool: Spool) -> None:
    end = spool.append(points(1))
    for room in (0, 20):
        with file_size_limit(end + room), pytest.raises(OSError, match=r"too large|only a part"):
            spool.append(points(2))
        assert (spool.folder / "journal.jsonl").stat().st_size == end
    spool.append(points(3))
    assert entries(spool) == [points(1), points(3)]


def test_a_copy_that_does_not_fit_on_the_disk_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 5000)
    with file_size_limit(1000), pytest.raises(OSError, match="too large"):
        spool.copy(file)
    assert list((spool.folder / "files").iterdir()) == []


def test_a_copy_keeps_the_content_at_copying(spool: Spool, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "weights").write_text("before")
    first, second = spool.copy(folder), spool.copy(folder / "weights")
    (folder / "weights").write_text("after")
    assert (first.name, (first / "weights").read_text(), second.name, second.read_text()) == (
        "package",
        "before",
        "weights",
        "before",
    )


def test_a_folder_that_cannot_be_created_is_reported_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(StorageUnavailableError, match=r"cannot be written.*set tracking\.spool"):
        Spool.begin(tmp_path / "a file" / "spool", "a_run", DESTINATION)


def test_any_text_is_stored_in_one_line(spool: Spool) -> None:
    tags = Tags(run="a_run", values={"note": "two\nlines\u2028and ✓ \x00"})
    spool.append(tags)
    assert entries(spool) == [tags]


def test_a_session_left_by_version_0_1_is_read_unchanged(tmp_path: Path) -> None:
    kept = Path(__file__).parents[3] / "data" / "spool_0_1"
    shutil.copytree(kept, tmp_path / "a_run-1")
    (tmp_path / "a_run-1.lock").touch()
    (left,) = Spool.left_behind(tmp_path)
    assert left.destination == Destination("sqlite:///STORE/mlflow.db", "digits")
    assert left.delivered.run_ids == {"0123456789abcdef0123456789abcdef": "f" * 32}
    assert [entry.kind for entry in left.aside()] == ["file"]
    first, *_, last = entries(left)
    assert (first.kind, last.kind) == ("parameters", "end"), "the store has what came before"
    end = left.waiting()[-1][1]
    assert end == (kept / "journal.jsonl").stat().st_size
    left.note_delivered(end, {})
    left.close()
    assert names_in(tmp_path) == []
