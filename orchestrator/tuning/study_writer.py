"""Keep the study of a running sweep up to date, without ever delaying the sweep.

A separate thread writes the changes, and retries while the storage cannot be used. Changes that are
not written when the sweep ends remain in the ledger: the next start of the sweep, or
`orchestrator reconcile --sweep`, writes them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from optuna.storages import RDBStorage

from orchestrator.masking import hide, shown
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.studies import StoredStudy, StudyIdentity, close_storage, open_storage

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
LAST_SECONDS = 10.0


class StudyNotes(Protocol):
    """Receiver of the new states of a sweep's trials."""

    def note(self, trial: LedgerTrial) -> None:
        """Receive the new state of a trial; return at once."""
        ...


class NoStudy:
    """Receiver that ignores the trials of a sweep, for sweeps without an Optuna study."""

    def note(self, trial: LedgerTrial) -> None:
        """Ignore the trial."""


class StudyWriter:
    """Write trials to a study in a separate thread."""

    def __init__(self, identity: StudyIdentity) -> None:
        """Start the thread, which opens the storage and waits for changed trials to write.

        Args:
            identity: Identity of the study, with its storage.
        """
        self._identity = identity
        self._pending: dict[int, LedgerTrial] = {}
        self._changed = threading.Condition()
        self._is_ending = self._is_given_up = False
        self._study: StoredStudy | None = None
        self._storage: RDBStorage | None = None
        self._num_failures = 0
        self._thread = threading.Thread(target=self._work, name="study", daemon=True)
        self._thread.start()

    def note(self, trial: LedgerTrial) -> None:
        """Schedule the new state of a trial for writing."""
        with self._changed:
            self._pending[trial.number] = trial
            self._changed.notify()

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Wait until all changes are written, or until a time limit. Changes that are not written
        remain in the ledger.

        Args:
            seconds: Longest time to wait.
        """
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            self._is_given_up = True
            self._changed.notify()
            if self._pending:
                logger.warning(
                    "the study of this sweep in %s is not up to date: %d trials could not be"
                    " written; once the storage can be reached, orchestrator reconcile --sweep DIR"
                    " writes them",
                    shown(self._identity.storage),
                    len(self._pending),
                )

    def _work(self) -> None:
        try:
            self._write_all()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Close the storage; the next change of a trial opens it again."""
        storage, self._storage, self._study = self._storage, None, None
        if storage is not None:
            with suppress(Exception):  # an unavailable database may raise any error
                close_storage(storage)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_ending)
                if self._is_given_up or not self._pending:
                    return
                number, trial = next(iter(self._pending.items()))
            try:
                self._put(trial)
            except Exception as error:  # noqa: BLE001 - after any error the sweep continues
                self._note_failure(error)
            else:
                self._note_success(number, trial)

    def _put(self, trial: LedgerTrial) -> None:
        if self._study is None:
            self._storage = open_storage(self._identity.storage)
            self._study = StoredStudy(self._storage, self._identity)
        self._study.put(trial)

    def _note_failure(self, error: Exception) -> None:
        self._let_go()
        self._num_failures += 1
        storage = self._identity.storage
        # Warn only after the second failure: at the first, another sweep may be creating tables.
        if self._num_failures == 2:
            said = str(hide(error, storage)).strip().splitlines() or [type(error).__name__]
            logger.warning(
                "the study cannot be written to %s (%s); the sweep continues with its ledger alone",
                shown(storage),
                said[0],
            )
        doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(self._num_failures - 1, 10)
        with self._changed:
            was_ending = self._is_ending
            pause = FIRST_PAUSE_SECONDS if was_ending else min(LONGEST_PAUSE_SECONDS, doubled)
            self._changed.wait_for(
                lambda: self._is_given_up or self._is_ending is not was_ending, timeout=pause
            )

    def _note_success(self, number: int, trial: LedgerTrial) -> None:
        if self._num_failures > 1:
            logger.warning("the study is written again to %s", shown(self._identity.storage))
        self._num_failures = 0
        with self._changed:
            if self._pending.get(number) is trial:
                del self._pending[number]


@contextmanager
def written_study(
    identity: StudyIdentity, make: Callable[[StudyIdentity], StudyWriter] = StudyWriter
) -> Iterator[StudyWriter]:
    """Keep the study of a sweep up to date during the `with` block that runs the sweep. At the end
    of the block, wait for the last changes, even if the sweep has failed.
    """
    writer = make(identity)
    try:
        yield writer
    finally:
        writer.close()


def write_study(trials: Iterable[LedgerTrial], identity: StudyIdentity) -> None:
    """Write all trials of a ledger to the study before returning.

    Raises:
        Exception: From Optuna or the database's library: the storage cannot be reached or used.
    """
    storage = open_storage(identity.storage)
    try:
        study = StoredStudy(storage, identity)
        for trial in trials:
            study.put(trial)
    finally:
        close_storage(storage)
