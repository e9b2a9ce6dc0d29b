"""What is logged leaves the process here: kept on disk at once, sent to the store by a thread of its own, in order.

Logging costs the learning one written line. A store that does not answer is asked again with growing pauses, for as long as the
process lives; meanwhile the entries wait in the spool.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking.delivery import Delivery, Refused
from orchestrator.tracking.entries import Entry
from orchestrator.tracking.spool import Spool

GATHER_SECONDS = 1.0  # what is logged meanwhile goes into one request
WINDOW = 500  # entries in one go
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
HEARTBEAT_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    """An entry, and where it ends in the journal; None where the disk had no room for it."""

    entry: Entry
    end: int | None


class Outbox:
    """The entries of one session, and the thread that sends them.

    Args:
        spool: The session's folder; entries that wait there already come first.
        delivery: Sends them.

    Attributes:
        delivery: As given.
    """

    def __init__(self, spool: Spool, delivery: Delivery) -> None:
        self._spool = spool
        self.delivery = delivery
        self._pending: deque[_Waiting] = deque(_Waiting(entry, end) for entry, end in spool.waiting())
        self._changed = threading.Condition()
        self._is_hurried = False
        self._is_ending = False
        self._failure: OrchestratorError | None = None
        self._num_failures = 0  # in a row
        self._num_refused = 0
        self._is_disk_full = False
        self._next_beat = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def is_failing(self) -> bool:
        """Whether the store did not answer when it was last asked."""
        return self._num_failures > 0

    def put(self, entry: Entry) -> None:
        """Takes an entry; never waits for the store, and never fails."""
        with self._changed:
            self._pending.append(_Waiting(entry, self._append(entry)))
            self._changed.notify_all()

    def copied(self, path: Path) -> Path:
        """A copy of a file or folder that waits with the entries; the original where the disk has no room."""
        try:
            return self._spool.copy(path)
        except OSError as error:
            self._note_full_disk(error)
            return path

    def flush(self, patience_seconds: float) -> bool:
        """Waits until the store has everything; False when it does not answer, or nothing moves for so long."""
        with self._changed:
            tries_left = self._num_failures + 2
            self._is_hurried = True
            self._changed.notify_all()
            last, deadline = len(self._pending), time.monotonic() + patience_seconds
            while self._pending and self._num_failures < tries_left and time.monotonic() < deadline:
                self._changed.wait(0.2)
                if len(self._pending) < last:
                    last, deadline = len(self._pending), time.monotonic() + patience_seconds
            self._is_hurried = False
            return not self._pending

    def close(self, patience_seconds: float) -> None:
        """Sends what it can, and ends the thread.

        Args:
            patience_seconds: How long nothing may move before the rest is left to the next command.

        Raises:
            TrackingUnavailableError: Entries are lost: neither the store nor the disk took them.
        """
        self.flush(patience_seconds)
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
            left = list(self._pending)
        # A request that hangs is given up: the thread ends with the process, and what it sends once more does no harm.
        self._thread.join(timeout=1.0)
        self._spool.close()
        self._tell(left)

    def _tell(self, left: Sequence[_Waiting]) -> None:
        lost = sum(waiting.end is None for waiting in left)
        if lost:
            what = f"{lost} tracked entries are lost: the store does not answer ({self._failure}), and the disk had no room for them"
            advice = "free some space and run the same command again: what was learned is kept"
            raise TrackingUnavailableError(what, str(self._spool.folder), advice)
        if left:
            logger.warning("%d tracked entries wait in %s: `orchestrator reconcile` sends them", len(left), self._spool.folder)
        if self._num_refused:
            logger.warning("the tracking store refused %d entries; they are in %s", self._num_refused, self._spool.folder)

    def _append(self, entry: Entry) -> int | None:
        try:
            return self._spool.append(entry)
        except OSError as error:
            self._note_full_disk(error)
            return None

    def _note_full_disk(self, error: OSError) -> None:
        if not self._is_disk_full:
            reason = error.strerror or error
            logger.warning("the spool cannot be written (%s): %s; until it can, a crash loses numbers", reason, self._spool.folder)
        self._is_disk_full = True

    # --- the thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while window := self._next_window():
            try:
                refused = self.delivery.send([waiting.entry for waiting in window])
            except Exception as error:  # noqa: BLE001 - a thread that ended would keep everything from arriving
                self._note_failure(error)
                self._pause()
            else:
                self._note_sent(window, refused)

    def _next_window(self) -> list[_Waiting]:
        """The entries to send next; empty at the end. Meanwhile says now and then that the process lives."""
        while True:
            self._beat_when_due()
            with self._changed:
                if self._pending and not (self._is_hurried or self._is_ending):
                    self._changed.wait_for(lambda: self._is_hurried or self._is_ending, GATHER_SECONDS)
                if self._is_ending:
                    return []
                if self._pending:
                    return [self._pending[index] for index in range(min(WINDOW, len(self._pending)))]
                self._changed.wait(max(0.0, self._next_beat - time.monotonic()))

    def _beat_when_due(self) -> None:
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + HEARTBEAT_SECONDS
        try:
            self.delivery.beat()
        except OrchestratorError as error:
            logger.debug("no heartbeat: %s", error)

    def _pause(self) -> None:
        with self._changed:
            seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self._num_failures - 1))
            hurried_before = self._is_hurried
            self._changed.wait_for(lambda: self._is_ending or (self._is_hurried and not hurried_before), seconds)

    def _note_failure(self, error: Exception) -> None:
        known = error if isinstance(error, OrchestratorError) else OrchestratorError(f"{type(error).__name__}: {error}")
        with self._changed:
            self._num_failures += 1
            is_first = self._failure is None
            self._failure = known
            self._changed.notify_all()
        if is_first:
            what = known.what if isinstance(known, TrackingUnavailableError) else str(known)
            logger.warning("%s; the numbers wait in %s until it can be used", what, self._spool.folder)

    def _note_sent(self, window: Sequence[_Waiting], refused: Sequence[Refused]) -> None:
        self._note_refused(refused)
        is_back = self._failure is not None
        with self._changed:
            for _ in window:
                self._pending.popleft()
            self._num_failures, self._failure = 0, None
            self._changed.notify_all()
        ends = [waiting.end for waiting in window if waiting.end is not None]
        try:
            if ends:
                self._spool.note_delivered(ends[-1], self.delivery.run_ids)
        except OSError as error:
            self._note_full_disk(error)
        if is_back:
            self._welcome_back()

    def _welcome_back(self) -> None:
        logger.warning("the tracking store answers again: what waited is being sent")
        try:
            self.delivery.reopen_runs()
        except OrchestratorError as error:
            logger.debug("runs not reopened: %s", error)

    def _note_refused(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            if self._num_refused == 0:
                logger.warning("the tracking store refuses an entry: %s", one.reason)
            self._num_refused += 1
            try:
                self._spool.note_refused(one.entry, one.reason)
            except OSError as error:
                self._note_full_disk(error)
