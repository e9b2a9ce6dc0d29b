"""Write to a spool on a disk that may be full; a failed write causes a warning and no error."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.tracking.outbox.entries import Entry
from orchestrator.tracking.outbox.spool import Spool

logger = logging.getLogger(__name__)


class LenientSpool:
    """Writes to a spool. If a write fails, logs a warning once and continues.

    Args:
        spool: Spool of the session.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._is_warned = False

    @property
    def folder(self) -> Path:
        """Return the spool folder of the session."""
        return self._spool.folder

    def append(self, entry: Entry) -> int | None:
        """Append an entry to the journal, and return the offset at which the entry ends; return
        None if the entry cannot be written.
        """
        try:
            return self._spool.append(entry)
        except OSError as error:
            self._warn(error)
            return None

    def copied(self, path: Path) -> Path:
        """Copy a file or folder into the spool (a folder on disk), and return the path of the copy;
        return the original path if copying fails.
        """
        try:
            return self._spool.copy(path)
        except OSError as error:
            self._warn(error)
            return path

    def note_delivered(
        self, ends: Sequence[int | None], run_ids: Mapping[str, str], aside: Sequence[Entry]
    ) -> None:
        """Record that the store has received entries.

        Args:
            ends: Offset in the journal at which each entry ends; None for an entry that could not
                be written to the journal.
            run_ids: The store's ids of runs, as in `spool.Delivered`.
            aside: Entries that the store still lacks, because they could not be sent and were put
                aside, to be sent after all others.
        """
        in_journal = [end for end in ends if end is not None]
        if not in_journal:
            return
        try:
            self._spool.note_delivered(in_journal[-1], run_ids, aside)
        except OSError as error:
            self._warn(error)

    def note_refused(self, entry: Entry, reason: str) -> None:
        """Record that the store refuses an entry permanently, with the reason."""
        try:
            self._spool.note_refused(entry, reason)
        except OSError as error:
            self._warn(error)

    def close(self) -> None:
        """Close the spool; see `Spool.close`."""
        self._spool.close()

    def _warn(self, error: OSError) -> None:
        if not self._is_warned:
            reason = error.strerror or error
            logger.warning(
                (
                    "the spool cannot be written (%s): %s; until it can be, a crash loses metrics"
                    " that have not reached MLflow"
                ),
                reason,
                self._spool.folder,
            )
        self._is_warned = True
