"""Take the entries that a process logs, write them to disk at once, and send them from a thread.

Training waits only until an entry is written to the spool, a folder on disk. If the store does not
answer, the entries wait in the spool, and the thread retries with growing pauses while the process
is alive. If the store answers, but a file, model, data set or view cannot be sent, its entry is put
aside: the thread sends this entry after all other entries.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking.outbox.delivery import Delivery, Refused
from orchestrator.tracking.outbox.entries import Entry
from orchestrator.tracking.outbox.lenient_spool import LenientSpool
from orchestrator.tracking.outbox.pace import Pace, known_error
from orchestrator.tracking.outbox.spool import Spool
from orchestrator.tracking.outbox.waiting import (
    Waiting,
    WaitingEntries,
    first_that_can_come_last,
)

# Time in seconds for which the sending thread gathers log entries for one request. Fewer requests
# save CPU time: if the store is a SQLite file, this process itself does the work of a request.
GATHER_SECONDS = 5.0
WINDOW = 500  # largest number of entries in one request
JOIN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Outbox:
    """Queue of one session's log entries, with the thread that sends the entries to the store.

    In a session, one process logs to one run and to the run's children.

    Args:
        spool: Folder on disk that keeps the session's entries until the store has them. Entries
            that already wait in this folder are sent first.
        delivery: Sends the entries to the store.
    """

    def __init__(self, spool: Spool, delivery: Delivery) -> None:
        self._spool = LenientSpool(spool)
        self._delivery = delivery
        self._waiting = WaitingEntries(spool.waiting())
        self._pace = Pace()
        self._changed = threading.Condition()
        self._is_stalled = False
        self._is_ending = False
        self._num_refused = 0
        self._is_aside_said = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def is_failing(self) -> bool:
        """Return whether the last request to the store failed, or `flush` has given up waiting and
        no request has succeeded since then.
        """
        return self._pace.failure is not None or self._is_stalled

    def put(self, entry: Entry) -> None:
        """Write a log entry to the spool (a folder on disk), and queue the entry for sending,
        without waiting for the store.

        Raises:
            RuntimeError: The outbox is closed.
        """
        with self._changed:
            if self._is_ending:
                raise RuntimeError(
                    f"this entry cannot be logged ({type(entry).__name__} of run {entry.run}):"
                    " its parent run is closed"
                )
            self._waiting.append(Waiting(entry, self._spool.append(entry)))
            self._changed.notify_all()

    def copied(self, path: Path) -> Path:
        """Copy a file or folder into the spool (a folder on disk), and return the path of the copy;
        return the original path if copying fails.
        """
        return self._spool.copied(path)

    def flush(self, patience_seconds: float, *, numbers_only: bool = False) -> bool:
        """Wait until the store has all log entries.

        Args:
            patience_seconds: Longest time to wait without progress.
            numbers_only: Whether not to wait for files, models, data sets and views that could not
                be sent at first.

        Returns:
            Whether the store has all entries for which this call waits; False if the store does not
            answer in time.
        """
        with self._changed:
            tries_left = self._pace.num_failures + 2
            self._pace.is_hurried = True
            if not numbers_only:
                self._pace.next_try = 0.0
            self._changed.notify_all()
            last = self._waiting.count(in_order_only=numbers_only)
            deadline = time.monotonic() + patience_seconds
            while (
                (left := self._waiting.count(in_order_only=numbers_only))
                and self._pace.num_failures < tries_left
                and time.monotonic() < deadline
            ):
                if left < last:
                    last, deadline = left, time.monotonic() + patience_seconds
                self._changed.wait(0.2)
            self._pace.is_hurried, self._is_stalled = False, left > 0
            return not left

    def close(self, patience_seconds: float) -> None:
        """Send the entries that can be sent, and end the thread.

        Args:
            patience_seconds: Longest time to wait without progress. The next command sends the
                remaining entries.

        Raises:
            TrackingUnavailableError: Entries are lost, because they were neither sent to the store
                nor written to the disk.
        """
        self.flush(patience_seconds)
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
            left = self._waiting.all()
        # Do not wait longer for a request that hangs: the thread ends with the process, and sending
        # the request's entries again does no harm.
        self._thread.join(timeout=JOIN_SECONDS)
        self._spool.close()
        self._report(left)

    def _report(self, left: Sequence[Waiting]) -> None:
        lost = sum(waiting.end is None for waiting in left)
        if lost:
            what = (
                f"{lost} tracked entries are lost: the store does not answer"
                f" ({self._pace.failure}), and the disk had no room for them"
            )
            advice = "free some space and run the same command again: finished stages are kept"
            raise TrackingUnavailableError(what, str(self._spool.folder), advice)
        if left:
            logger.warning(
                "%d tracked entries wait in %s: `orchestrator reconcile` sends them",
                len(left),
                self._spool.folder,
            )
        if self._num_refused:
            logger.warning(
                "the tracking store refused %d entries; they and the reasons are in %s",
                self._num_refused,
                self._spool.folder,
            )

    # --- the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while window := self._next_window():
            try:
                refused = self._delivery.send([waiting.entry for waiting in window])
                self._note_sent(window, refused)
            except Exception as error:  # noqa: BLE001 - if the thread ended, nothing more would be sent
                if not self._put_aside(window, error):
                    self._note_failure(error)
                    self._pause()

    def _next_window(self) -> list[Waiting]:
        """Wait for log entries, and return the next window: the entries for one call of
        `Delivery.send`. While waiting, send the heartbeats that show that the process is alive.

        An empty window means that the outbox is closing.
        """
        while True:
            self._beat_when_due()
            with self._changed:
                if self._waiting.count(in_order_only=True) and not self._must_not_gather():
                    self._changed.wait_for(self._must_not_gather, GATHER_SECONDS)
                if self._is_ending:
                    return []
                if window := self._waiting.first_in_order(WINDOW):
                    return window
                aside = self._waiting.first_aside()
                if aside and time.monotonic() >= self._pace.next_try:
                    return aside
                next_try = self._pace.next_try if aside else math.inf
                wake = min(self._pace.next_beat, next_try)
                self._changed.wait(max(0.0, wake - time.monotonic()))

    def _must_not_gather(self) -> bool:
        return self._pace.is_hurried or self._is_ending

    def _put_aside(self, window: Sequence[Waiting], error: Exception) -> bool:
        """Put aside the first file, model, data set or view of a failed request, so that it is sent
        after all other entries, and return True.

        Return False if the request contains no such entry, or the store does not answer at all.
        """
        index = first_that_can_come_last(window)
        if index is None or not self._delivery.answers():
            return False
        with self._changed:
            self._waiting.put_aside(window, index)
            self._pace.note_put_aside()
            self._changed.notify_all()
        if not self._is_aside_said:
            logger.warning(
                "a %s cannot be sent, and is retried after all other entries: %s",
                type(window[index].entry).__name__.lower(),
                known_error(error),
            )
        self._is_aside_said = True
        return True

    def _beat_when_due(self) -> None:
        if not self._pace.is_beat_due():
            return
        try:
            self._delivery.beat()
        except Exception as error:  # noqa: BLE001 - the thread must not end; the next heartbeat is due soon
            logger.debug("no heartbeat: %s", error)

    def _pause(self) -> None:
        with self._changed:
            hurried_before = self._pace.is_hurried
            self._changed.wait_for(
                lambda: self._is_ending or (self._pace.is_hurried and not hurried_before),
                self._pace.pause_seconds(),
            )

    def _note_failure(self, error: Exception) -> None:
        with self._changed:
            is_first = self._pace.note_failure(error)
            self._changed.notify_all()
        if is_first:
            known = known_error(error)
            what = known.what if isinstance(known, TrackingUnavailableError) else str(known)
            logger.warning(
                "%s; the numbers wait in %s until the store can be used", what, self._spool.folder
            )

    def _note_sent(self, window: Sequence[Waiting], refused: Sequence[Refused]) -> None:
        with self._changed:
            if self._is_ending:
                # Do not record that the entries were sent: the outbox is closing, and another
                # process may already use the spool folder. That process sends the entries again,
                # which does no harm.
                return
            self._note_refused(refused)
            self._waiting.remove(window)
            self._spool.note_delivered(
                [waiting.end for waiting in window], self._delivery.run_ids, self._waiting.aside
            )
            is_back = self._pace.note_success()
            self._is_stalled = False
            self._changed.notify_all()
        if is_back:
            logger.warning("the tracking store answers again: sending the waiting entries")

    def _note_refused(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            if self._num_refused == 0:
                logger.warning("the tracking store refuses an entry: %s", one.reason)
            self._num_refused += 1
            self._spool.note_refused(one.entry, one.reason)
