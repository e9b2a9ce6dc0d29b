"""Decide when to retry a store that does not answer, and when to send a heartbeat."""

from __future__ import annotations

import time

from orchestrator.errors import OrchestratorError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
HURRIED_PAUSE_SECONDS = 1.0  # longest pause between requests while a caller waits in `flush`
HEARTBEAT_SECONDS = 60.0


class Pace:
    """Decides how long the outbox pauses before its next request to the store.

    The pause grows with each failure in a row, but stays short while a caller waits in `flush`.

    Not thread-safe: the outbox holds its lock when it calls a method, except for `is_beat_due`,
    which only the sending thread calls.

    Attributes:
        failure: Error of the last request to the store; None if the request succeeded.
        num_failures: Number of failures since the last success.
        is_hurried: Whether a caller waits in `flush`.
        next_try: When to retry an entry that was put aside, on the monotonic clock.
        next_beat: When the next heartbeat is due, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.failure: OrchestratorError | None = None
        self.num_failures = 0
        self.is_hurried = False
        self.next_try = 0.0
        self.next_beat = time.monotonic()

    def note_failure(self, error: Exception) -> bool:
        """Record a failed request; return whether this is the first failure since a success."""
        is_first = self.failure is None
        self.num_failures += 1
        self.failure = known_error(error)
        return is_first

    def note_put_aside(self) -> None:
        """Record that an entry was put aside, to be sent after all others, and set the time for
        the entry's next try.
        """
        self.num_failures += 1
        self.next_try = time.monotonic() + self._longest_pause()

    def note_success(self) -> bool:
        """Record a successful request; return whether the previous request had failed."""
        is_back = self.failure is not None
        self.num_failures, self.failure = 0, None
        if is_back:
            # Send a heartbeat at once. The heartbeat reopens runs of this process that another
            # process has closed as abandoned while this process could not reach the store.
            self.next_beat = time.monotonic()
        return is_back

    def pause_seconds(self) -> float:
        """Return the pause before the next request to the store, in seconds."""
        return min(
            self._longest_pause(), FIRST_PAUSE_SECONDS * 2.0 ** min(self.num_failures - 1, 10)
        )

    def is_beat_due(self) -> bool:
        """Return whether a heartbeat is due; if so, schedule the next one."""
        now = time.monotonic()
        if now < self.next_beat:
            return False
        self.next_beat = now + HEARTBEAT_SECONDS
        return True

    def _longest_pause(self) -> float:
        return HURRIED_PAUSE_SECONDS if self.is_hurried else LONGEST_PAUSE_SECONDS


def known_error(error: Exception) -> OrchestratorError:
    """Return an `OrchestratorError` unchanged; convert any other error to this class."""
    return (
        error
        if isinstance(error, OrchestratorError)
        else OrchestratorError(f"{type(error).__name__}: {error}")
    )
