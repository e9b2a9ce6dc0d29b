"""What is logged leaves the process here: kept on disk at once, sent to the store by a thread of
its own, in order.

Logging costs the learning one written line. A store that does not answer is asked again with
growing pauses, for as long as the process lives; meanwhile the entries wait in the spool. Files for
which there is no place, while numbers are taken, let these go first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orchestrator.config.addresses import without_password
from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking.entries import Datasets, Entry, File, Model, Views
from orchestrator.tracking.mlflow.delivery import Delivery, Refused
from orchestrator.tracking.spool import Spool

# what is logged meanwhile goes into one request; one to a SQLite file is work of this very process
GATHER_SECONDS = 5.0
WINDOW = 500  # entries in one go
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
HURRIED_PAUSE_SECONDS = 1.0  # while somebody waits
HEARTBEAT_SECONDS = 60.0
JOIN_SECONDS = 1.0

# What can come after all others without harm: artifacts often have a store and credentials of their
# own.
_CAN_COME_LAST = (File, Model, Datasets, Views)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    """An entry that the store does not have.

    Attributes:
        entry: What it is.
        end: Where it ends in the journal; None where the disk had no room for it.
    """

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
        self._pending: deque[_Waiting] = deque(
            _Waiting(entry, end) for entry, end in spool.waiting()
        )
        self._changed = threading.Condition()
        self._is_hurried = False
        self._is_stalled = False
        self._is_ending = False
        self._failure: OrchestratorError | None = None
        self._num_failures = 0  # in a row
        self._num_refused = 0
        self._aside: deque[_Waiting] = deque()  # tried again when nothing else waits
        self._is_aside_said = False
        self._next_try = 0.0
        self._is_disk_full = False
        self._next_beat = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def is_failing(self) -> bool:
        """Whether the store did not answer when it was last asked, or somebody has waited for it in
        vain since.
        """
        return self._failure is not None or self._is_stalled

    def put(self, entry: Entry) -> None:
        """Takes an entry; never waits for the store.

        Raises:
            RuntimeError: The outbox is closed.
        """
        with self._changed:
            if self._is_ending:
                raise RuntimeError(
                    f"nothing more can be logged here ({type(entry).__name__} of run {entry.run}):"
                    " the run above is closed"
                )
            self._pending.append(_Waiting(entry, self._append(entry)))
            self._changed.notify_all()

    def copied(self, path: Path) -> Path:
        """A copy of a file or folder that waits with the entries; the original where the disk has
        no room.
        """
        try:
            return self._spool.copy(path)
        except OSError as error:
            self._note_full_disk(error)
            return path

    def flush(self, patience_seconds: float, *, numbers_only: bool = False) -> bool:
        """Waits until the store has everything.

        Args:
            patience_seconds: How long nothing may move.
            numbers_only: Whether files that were put aside may wait on.

        Returns:
            False when the store does not answer, or nothing moves.
        """
        with self._changed:
            tries_left = self._num_failures + 2
            self._is_hurried, self._next_try = True, self._next_try if numbers_only else 0.0
            self._changed.notify_all()
            last, deadline = self._num_left(numbers_only), time.monotonic() + patience_seconds
            while (
                (left := self._num_left(numbers_only))
                and self._num_failures < tries_left
                and time.monotonic() < deadline
            ):
                if left < last:
                    last, deadline = left, time.monotonic() + patience_seconds
                self._changed.wait(0.2)
            self._is_hurried, self._is_stalled = False, left > 0
            return not left

    def _num_left(self, numbers_only: bool) -> int:
        return len(self._pending) + (0 if numbers_only else len(self._aside))

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
            left = [*self._pending, *self._aside]
        # A request that hangs is given up: the thread ends with the process, and what it sends once
        # more does no harm.
        self._thread.join(timeout=JOIN_SECONDS)
        self._spool.close()
        self._tell(left)

    def _tell(self, left: Sequence[_Waiting]) -> None:
        lost = sum(waiting.end is None for waiting in left)
        if lost:
            what = (
                f"{lost} tracked entries are lost: the store does not answer ({self._failure}), and"
                " the disk had no room for them"
            )
            advice = "free some space and run the same command again: what was learned is kept"
            raise TrackingUnavailableError(what, str(self._spool.folder), advice)
        if left:
            logger.warning(
                "%d tracked entries wait in %s: `orchestrator reconcile` sends them",
                len(left),
                self._spool.folder,
            )
        if self._num_refused:
            logger.warning(
                "the tracking store refused %d entries; which and why is in %s",
                self._num_refused,
                self._spool.folder,
            )

    def _append(self, entry: Entry) -> int | None:
        try:
            return self._spool.append(entry)
        except OSError as error:
            self._note_full_disk(error)
            return None

    def _note_full_disk(self, error: OSError) -> None:
        if not self._is_disk_full:
            reason = error.strerror or error
            logger.warning(
                "the spool cannot be written (%s): %s; until it can, a crash loses numbers",
                reason,
                self._spool.folder,
            )
        self._is_disk_full = True

    # --- the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while window := self._next_window():
            try:
                self._note_sent(window, self.delivery.send([waiting.entry for waiting in window]))
            except Exception as error:  # noqa: BLE001 - a thread that ended would keep everything from arriving
                if not self._put_aside(window, error):
                    self._note_failure(error)
                    self._pause()

    def _next_window(self) -> list[_Waiting]:
        """The entries to send next; empty at the end. Meanwhile says now and then that the process
        lives.
        """
        while True:
            self._beat_when_due()
            with self._changed:
                if self._pending and not (self._is_hurried or self._is_ending):
                    self._changed.wait_for(
                        lambda: self._is_hurried or self._is_ending, GATHER_SECONDS
                    )
                if self._is_ending:
                    return []
                if self._pending:
                    return list(islice(self._pending, WINDOW))
                if self._aside and time.monotonic() >= self._next_try:
                    return [self._aside[0]]
                wake = min(self._next_beat, self._next_try) if self._aside else self._next_beat
                self._changed.wait(max(0.0, wake - time.monotonic()))

    def _put_aside(self, window: Sequence[_Waiting], error: Exception) -> bool:
        """Lets the first file of a window wait until all else is sent; False where that is no
        help.
        """
        index = next(
            (
                index
                for index, waiting in enumerate(window)
                if isinstance(waiting.entry, _CAN_COME_LAST)
            ),
            None,
        )
        if index is None or not self.delivery.answers():
            return False
        with self._changed:
            self._num_failures += 1
            if self._is_from_aside(window):
                self._aside.rotate(-1)
            else:
                del self._pending[index]
                self._aside.append(window[index])
            self._next_try = time.monotonic() + (
                HURRIED_PAUSE_SECONDS if self._is_hurried else LONGEST_PAUSE_SECONDS
            )
            self._changed.notify_all()
        self._say_put_aside(window[index].entry, error)
        return True

    def _is_from_aside(self, window: Sequence[_Waiting]) -> bool:
        return bool(self._aside) and window[0] is self._aside[0]

    def _say_put_aside(self, entry: Entry, error: Exception) -> None:
        if not self._is_aside_said:
            logger.warning(
                "a %s cannot be sent, and is tried again after all else: %s",
                type(entry).__name__.lower(),
                _known(error),
            )
        self._is_aside_said = True

    def _beat_when_due(self) -> None:
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + HEARTBEAT_SECONDS
        try:
            self.delivery.beat()
        except Exception as error:  # noqa: BLE001 - as above; the next one comes soon
            logger.debug("no heartbeat: %s", error)

    def _pause(self) -> None:
        with self._changed:
            hurried_before = self._is_hurried
            longest = HURRIED_PAUSE_SECONDS if hurried_before else LONGEST_PAUSE_SECONDS
            seconds = min(longest, FIRST_PAUSE_SECONDS * 2 ** min(self._num_failures - 1, 10))
            self._changed.wait_for(
                lambda: self._is_ending or (self._is_hurried and not hurried_before), seconds
            )

    def _note_failure(self, error: Exception) -> None:
        known = _known(error)
        with self._changed:
            self._num_failures += 1
            is_first = self._failure is None
            self._failure = known
            self._changed.notify_all()
        if is_first:
            what = known.what if isinstance(known, TrackingUnavailableError) else str(known)
            logger.warning(
                "%s; the numbers wait in %s until it can be used", what, self._spool.folder
            )

    def _note_sent(self, window: Sequence[_Waiting], refused: Sequence[Refused]) -> None:
        with self._changed:
            if self._is_ending:
                # the spool is another process's by now, which sends it again: that does no harm
                return
            self._note_refused(refused)
            source = self._aside if self._is_from_aside(window) else self._pending
            for _ in window:
                source.popleft()
            self._note_delivered([waiting.end for waiting in window if waiting.end is not None])
            is_back = self._failure is not None
            self._num_failures, self._failure, self._is_stalled = 0, None, False
            self._changed.notify_all()
        if is_back:
            logger.warning("the tracking store answers again: what waited is being sent")
            self._next_beat = (
                time.monotonic()
            )  # meanwhile another process may have taken this one for dead

    def _note_delivered(self, ends: Sequence[int]) -> None:
        try:
            if ends:
                self._spool.note_delivered(
                    ends[-1], self.delivery.run_ids, [waiting.entry for waiting in self._aside]
                )
        except OSError as error:
            self._note_full_disk(error)

    def _note_refused(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            if self._num_refused == 0:
                logger.warning("the tracking store refuses an entry: %s", one.reason)
            self._num_refused += 1
            try:
                self._spool.note_refused(one.entry, one.reason)
            except OSError as error:
                self._note_full_disk(error)


def _known(error: Exception) -> OrchestratorError:
    return (
        error
        if isinstance(error, OrchestratorError)
        else OrchestratorError(without_password(f"{type(error).__name__}: {error}"))
    )
