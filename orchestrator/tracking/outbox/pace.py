"""Decide when to retry a failing store, and when to send a heartbeat."""

from __future__ import annotations

import time

from orchestrator.errors import OrchestratorError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
HURRIED_PAUSE_SECONDS = 1.0  # longest pause while a caller waits for the store
HEARTBEAT_SECONDS = 60.0


class Pace:
    """Times the requests to a store: pauses grow with each failure, but stay short while a caller
    waits.

    Not thread-safe: the outbox calls it with its lock held, except for the heartbeat, which only
    the sending thread uses.

    Attributes:
        failure: Why the last request to the store failed; None if it succeeded.
        num_failures: Number of failures in a row.
        is_hurried: Whether a caller waits for the store.
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
        """Record that the store failed; return whether the request before had succeeded."""
        is_first = self.failure is None
        self.num_failures += 1
        self.failure = known_error(error)
        return is_first

    def note_put_aside(self) -> None:
        """Record that an entry was put aside, and delay the next try to send it."""
        self.num_failures += 1
        self.next_try = time.monotonic() + self._longest_pause()

    def note_success(self) -> bool:
        """Record that the store took entries; return whether the request before had failed."""
        is_back = self.failure is not None
        self.num_failures, self.failure = 0, None
        if is_back:
            # While the store failed, another process may have closed this process's runs as
            # abandoned.
            self.next_beat = time.monotonic()
        return is_back

    def pause_seconds(self) -> float:
        """Return how long to wait before the next request to the store."""
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
    """Return an error of this project unchanged; wrap any other error in one of this project's
    classes.
    """
    return (
        error
        if isinstance(error, OrchestratorError)
        else OrchestratorError(f"{type(error).__name__}: {error}")
    )
