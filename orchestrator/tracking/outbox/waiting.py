"""Queue the log entries that the store lacks, in the order of logging.

An entry that cannot be sent may be put aside, and is then sent after all other entries. A window is
the part of the queue that the outbox passes to one call of `Delivery.send`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from orchestrator.tracking.outbox.entries import Datasets, Entry, File, Model, Views

# Classes of entries that can be put aside, to be sent after all other entries. Artifacts often have
# a separate store and separate credentials, and an error of that store must not delay numbers.
_CAN_COME_LAST = (File, Model, Datasets, Views)


@dataclass(frozen=True)
class Waiting:
    """A log entry that the store lacks.

    Attributes:
        entry: The log entry.
        end: Offset in bytes at which the entry ends in the journal, the file of log entries; None
            if the entry is not in this file, because the disk was full.
    """

    entry: Entry
    end: int | None


class WaitingEntries:
    """Queue of log entries in the order of logging. A second queue contains the entries that were
    put aside: they could not be sent, and are sent after all other entries.

    Not thread-safe: the outbox calls all methods with its lock held. Only one thread removes
    entries.

    Args:
        entries: Log entries, each with the offset in bytes at which the entry ends in the journal,
            the file of log entries.
    """

    def __init__(self, entries: Iterable[tuple[Entry, int]]) -> None:
        self._in_order = deque(Waiting(entry, end) for entry, end in entries)
        self._aside: deque[Waiting] = deque()

    @property
    def aside(self) -> list[Entry]:
        """Return the entries that were put aside to be sent after all others."""
        return [waiting.entry for waiting in self._aside]

    def append(self, waiting: Waiting) -> None:
        """Add an entry at the end of the queue."""
        self._in_order.append(waiting)

    def all(self) -> list[Waiting]:
        """Return all entries. The entries that were put aside, to be sent after all others, come
        last.
        """
        return [*self._in_order, *self._aside]

    def count(self, *, in_order_only: bool = False) -> int:
        """Count the waiting entries; if `in_order_only`, omit the entries that were put aside to be
        sent after all others.
        """
        return len(self._in_order) + (0 if in_order_only else len(self._aside))

    def first_in_order(self, limit: int) -> list[Waiting]:
        """Return a window (entries that are sent together) with the first `limit` entries. Omit the
        entries that were put aside to be sent after all others.
        """
        return list(islice(self._in_order, limit))

    def first_aside(self) -> list[Waiting]:
        """Return a window (entries that are sent together) with the first entry that was put aside
        to be sent after all others. The window is empty if no entry was put aside.
        """
        return list(islice(self._aside, 1))

    def put_aside(self, window: Sequence[Waiting], index: int) -> None:
        """Put one entry of a window (entries that are sent together) aside, so that the entry is
        sent after all other entries.

        Args:
            window: Window from `first_in_order` or `first_aside`.
            index: Index of the entry in the window.
        """
        if self._is_from_aside(window):
            self._aside.rotate(-1)
        else:
            del self._in_order[index]
            self._aside.append(window[index])

    def remove(self, window: Sequence[Waiting]) -> None:
        """Remove a window (entries that are sent together) from the queue, because the store has
        received these entries.

        Args:
            window: Window from `first_in_order` or `first_aside`.
        """
        source = self._aside if self._is_from_aside(window) else self._in_order
        for _ in window:
            source.popleft()

    def _is_from_aside(self, window: Sequence[Waiting]) -> bool:
        return bool(self._aside) and window[0] is self._aside[0]


def first_that_can_come_last(window: Sequence[Waiting]) -> int | None:
    """Return the index of the first entry that can be put aside, to be sent after all others; None
    if the window (entries that are sent together) contains no such entry.
    """
    return next(
        (
            index
            for index, waiting in enumerate(window)
            if isinstance(waiting.entry, _CAN_COME_LAST)
        ),
        None,
    )
