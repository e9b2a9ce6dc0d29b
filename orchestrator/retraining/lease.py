"""The lease: one retraining works at a time. Its holder shows that it lives; who does not is
replaced, and can do no harm any more.
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
"""The file where the holder notes what it reads; see `suspects`."""


def this_holder() -> dict[str, str]:
    """This process, as others can tell later whether it is gone."""
    process = this_process()
    return (
        process.tags()
        if process
        else {names.HOST_TAG: socket.gethostname(), names.PROCESS_TAG: str(os.getpid())}
    )


class Lease:
    """Held from `acquire` to `release`. Whatever is written with it is written only while it is
    held.
    """

    def __init__(self, journal: Journal, acquired: Entry) -> None:
        """See `acquire`."""
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
        """Take the lease.

        Args:
            journal: Whose lease.
            config: When a holder counts as dead.
            holder: This process.
            first: Who holds which alias, where the journal is empty; None for nobody.

        Raises:
            LockedError: Somebody else holds it, and lives.
            StorageUnavailableError: The storage does not answer.
        """
        before = journal.last()
        if before is not None and before.kind != EntryKind.RELEASED:
            age = _refuse_if_alive(journal, before, config, holder)
            logger.warning(
                "the retraining of %s has died (%s): this one takes over", _who(before), age
            )
        state = before.state if before else first or State()
        try:
            acquired = journal.write_after(before, EntryKind.ACQUIRED, holder, state)
        except LeaseLostError:
            raise LockedError("another retraining was faster by a moment") from None
        lease = cls(journal, acquired)
        lease.beat()
        return lease

    @property
    def state(self) -> State:
        """Who holds which alias, as this holder has left it."""
        return self._last.state

    @property
    def token(self) -> int:
        """Grows with every holder."""
        return self._last.token

    @property
    def storage(self) -> Storage:
        """The journal's files: of the holder, where it notes what it is about to do."""
        return self._journal.storage

    def write(self, kind: EntryKind, state: State) -> None:
        """Writes an entry, as the holder.

        Raises:
            LeaseLostError: It is not the holder any more; nothing is changed.
            StorageUnavailableError: The storage does not answer.
        """
        with self._writing:
            self._last = self._journal.write_after(
                self._last, kind, self._last.holder, state, self._last.token
            )

    def check(self) -> None:
        """Makes sure that it is still the holder, before something long or costly.

        Raises:
            LeaseLostError: It is not.
            StorageUnavailableError: The storage does not answer.
        """
        last = self._journal.last()
        if last is None or last.nonce != self._last.nonce:
            raise LeaseLostError(
                "another process has taken over", next_step="what it has done counts; run it again"
            )

    def beat(self) -> None:
        """Shows that the holder lives."""
        self._journal.storage.write(self._last.heartbeat, b"")

    def release(self) -> None:
        """Lets the next one in; what was taken over already is left alone."""
        with suppress(LeaseLostError):
            self.check()
            self.storage.remove(READING_NOTE)
            self.write(EntryKind.RELEASED, self.state)
            self._journal.prune(self._last)


class Heartbeat:
    """Beats in the background for as long as the `with` lasts; a process that hangs or dies stops
    beating.
    """

    def __init__(self, lease: Lease, every_seconds: float) -> None:
        """Beats nothing yet."""
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
    """Why the holder counts as dead.

    Raises:
        LockedError: It lives, as far as can be told.
    """
    process, this = recorded_process(last.holder), recorded_process(here)
    if process is not None and this is not None and process.is_gone(this):
        return "its process is gone"
    age = journal.storage.age_seconds(last.heartbeat)
    if age is None:  # it died, or is, between its entry and its first heartbeat
        age = journal.storage.age_seconds(last.name) or 0.0
    if age < -config.expires_seconds:
        # its clock, or whoever has written it, is wrong: it would seem to live for as long
        return f"its last heartbeat is {-age:.0f} s ahead of the storage's clock"
    if age <= config.expires_seconds:
        raise LockedError(
            f"another retraining works: {_who(last)}, last heartbeat {max(0.0, age):.0f} s ago"
        )
    return f"no heartbeat for {age:.0f} s"


def _who(entry: Entry) -> str:
    return (
        f"process {entry.holder.get(names.PROCESS_TAG, '?')} on"
        f" {entry.holder.get(names.HOST_TAG, '?')}"
    )
