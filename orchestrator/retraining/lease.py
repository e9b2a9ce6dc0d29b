"""The lease ensures that only one process at a time changes a retraining.

The process that holds the lease sends heartbeats. If the heartbeats stop, another process takes the
lease over, and the former holder can no longer change anything.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from types import TracebackType

from orchestrator.config.retraining import LeaseConfig
from orchestrator.errors import LeaseLostError, LockedError
from orchestrator.retraining.journal import Entry, EntryKind, Journal
from orchestrator.retraining.state import State
from orchestrator.retraining.storage import Storage
from orchestrator.tracking import names
from orchestrator.tracking.run_process import recorded_process, this_process

logger = logging.getLogger(__name__)

READING_NOTE = "reading.json"
"""Name of the file in which the lease holder lists the files that it is about to read. The next
tick checks these files if the holder was killed; see `suspects`.
"""


def this_holder() -> dict[str, str]:
    """Return tags that identify this process. With these tags, other processes can detect whether
    this process has ended.
    """
    process = this_process()
    return (
        process.tags()
        if process
        else {names.HOST_TAG: socket.gethostname(), names.PROCESS_TAG: str(os.getpid())}
    )


class Lease:
    """A lease that this process has acquired: the right to write journal entries, until the process
    releases the lease or loses it to another process.
    """

    def __init__(self, journal: Journal, acquired: Entry) -> None:
        """Create a lease from its journal entry. Do not call this directly; use `acquire`."""
        self._journal = journal
        self._last = acquired
        self._writing = threading.Lock()

    @classmethod
    def acquire(
        cls,
        journal: Journal,
        config: LeaseConfig,
        holder: dict[str, str],
        first: State | None = None,
    ) -> Lease:
        """Acquire the lease of a retraining, and return it.

        Args:
            journal: Journal of the retraining.
            config: Settings that say when a holder counts as dead.
            holder: Tags of the calling process.
            first: State for the first entry of an empty journal; None means an empty state.

        Raises:
            LockedError: Another holder is alive.
            StorageUnavailableError: The storage does not answer.
        """
        before = journal.last()
        if before is not None and before.kind != EntryKind.RELEASED:
            age = _refuse_if_alive(journal, before, config, holder)
            logger.warning(
                "the retraining in %s has died (%s): taking over its lease", _who(before), age
            )
        state = before.state if before else first or State()
        try:
            acquired = journal.write_after(before, EntryKind.ACQUIRED, holder, state)
        except LeaseLostError:
            raise LockedError("another retraining acquired the lease a moment earlier") from None
        lease = cls(journal, acquired)
        lease.beat()
        return lease

    @property
    def state(self) -> State:
        """Return the state of the retraining after the last entry that this process wrote."""
        return self._last.state

    @property
    def token(self) -> int:
        """Return the fencing token: a number that is larger for each later lease holder."""
        return self._last.token

    @property
    def storage(self) -> Storage:
        """Return the journal's storage, where the lease holder may also keep other small files."""
        return self._journal.storage

    def write(self, kind: EntryKind, state: State) -> None:
        """Write an entry to the journal as the holder of the lease.

        Raises:
            LeaseLostError: This process no longer holds the lease; nothing is changed.
            StorageUnavailableError: The storage does not answer.
        """
        with self._writing:
            self._last = self._journal.write_after(
                self._last, kind, self._last.holder, state, self._last.token
            )

    def check(self) -> None:
        """Check that this process still holds the lease. Call this method before long or costly
        work.

        Raises:
            LeaseLostError: This process no longer holds the lease.
            StorageUnavailableError: The storage does not answer.
        """
        last = self._journal.last()
        if last is None or last.nonce != self._last.nonce:
            raise LeaseLostError(
                "another process has taken over the lease",
                next_step="the decisions of that process count; rerun the command",
            )

    def beat(self) -> None:
        """Write a heartbeat of this holder to the journal's storage."""
        self._journal.storage.write(self._last.heartbeat, b"")

    def release(self) -> None:
        """Release the lease; do nothing if another process has taken the lease over."""
        with suppress(LeaseLostError):
            self.check()
            self.storage.remove(READING_NOTE)
            self.write(EntryKind.RELEASED, self.state)
            self._journal.prune(self._last)


class Heartbeat:
    """Sends heartbeats from a background thread while the `with` block runs.

    If the process hangs or dies, the heartbeats stop.
    """

    def __init__(self, lease: Lease, every_seconds: float) -> None:
        """Prepare the heartbeat; the `with` block starts it."""
        self._lease = lease
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name="heartbeat of the retraining", daemon=True
        )

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(self._every_seconds)

    def _beat(self) -> None:
        while not self._ended.wait(self._every_seconds):
            try:
                self._lease.beat()
            except Exception as error:  # noqa: BLE001 - the next beat may arrive, and the fence holds in any case
                logger.warning("%s", error)


def _refuse_if_alive(
    journal: Journal, last: Entry, config: LeaseConfig, here: dict[str, str]
) -> str:
    """Check that the lease holder counts as dead, and return the reason as text.

    Raises:
        LockedError: The holder may be alive, because its last heartbeat is recent.
    """
    process, this = recorded_process(last.holder), recorded_process(here)
    if process is not None and this is not None and process.is_gone(this):
        return "its process is gone"
    age = journal.storage.age_seconds(last.heartbeat)
    if age is None:  # no heartbeat yet: use the age of the entry
        age = journal.storage.age_seconds(last.name) or 0.0
    if age < -config.expires_seconds:
        # The time of the last heartbeat lies in the future, so a clock is wrong. Without this rule,
        # a dead holder would count as alive until that time has passed.
        return f"its last heartbeat is {-age:.0f} s ahead of the storage's clock"
    if age <= config.expires_seconds:
        raise LockedError(
            f"another retraining is running: {_who(last)}, last heartbeat {max(0.0, age):.0f} s ago"
        )
    return f"no heartbeat for {age:.0f} s"


def _who(entry: Entry) -> str:
    return (
        f"process {entry.holder.get(names.PROCESS_TAG, '?')} on"
        f" {entry.holder.get(names.HOST_TAG, '?')}"
    )
