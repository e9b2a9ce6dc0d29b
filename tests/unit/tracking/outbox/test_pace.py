import time

from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking.outbox.pace import Pace, known_error

AWAY = TrackingUnavailableError("away")


def test_pauses_double_up_to_a_limit_and_restart_after_a_success() -> None:
    pace, pauses = Pace(), []
    for _ in range(8):
        pace.note_failure(AWAY)
        pauses.append(pace.pause_seconds())
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert pace.note_success()
    pace.note_failure(AWAY)
    assert pace.pause_seconds() == 0.5


def test_pauses_are_short_while_someone_waits() -> None:
    pace = Pace()
    for _ in range(8):
        pace.note_failure(AWAY)
    pace.is_hurried = True
    assert pace.pause_seconds() == 1.0


def test_the_first_failure_and_the_first_success_after_it_are_recognised() -> None:
    pace = Pace()
    assert not pace.note_success()
    assert [pace.note_failure(AWAY) for _ in range(3)] == [True, False, False]
    assert str(pace.failure) == str(AWAY)
    assert [pace.note_success() for _ in range(2)] == [True, False]
    assert (pace.failure, pace.num_failures) == (None, 0)


def test_a_heartbeat_is_due_at_once_after_an_outage() -> None:
    pace = Pace()
    assert [pace.is_beat_due() for _ in range(2)] == [True, False]
    pace.note_success()
    assert not pace.is_beat_due(), "it was never away"
    pace.note_failure(AWAY)
    pace.note_success()
    assert pace.is_beat_due()


def test_deferred_entries_are_retried_after_a_long_pause_and_soon_in_a_hurry() -> None:
    pace = Pace()
    for is_hurried, pause in ((False, 15.0), (True, 1.0)):
        pace.is_hurried = is_hurried
        before = time.monotonic()
        pace.note_put_aside()
        assert before + pause <= pace.next_try <= time.monotonic() + pause
    assert (pace.num_failures, pace.failure) == (2, None), "the store itself answers"


def test_an_unknown_error_is_named_without_passwords() -> None:
    assert known_error(AWAY) is AWAY
    error = known_error(OSError("no route to postgresql://me:secret@host/runs"))
    assert "OSError: no route to postgresql://***@host/runs" in str(error)
