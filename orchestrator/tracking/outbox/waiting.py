"""Queue the entries that the store lacks, in the order of logging; some can be put aside.

A window is the part of the queue that the outbox sends next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from orchestrator.tracking.outbox.entries import Datasets, Entry, File, Model, Views

# Entries that can be put aside. Artifacts often have a store and credentials of their own, whose
# failure must not delay numbers.
_CAN_COME_LAST = (File, Model, Datasets, Views)


@dataclass(frozen=True)
class Waiting:
    """An entry that the store does not have.

    Attributes:
        entry: The entry.
        end: Offset at which the entry ends in the journal; None if the disk was full.
    """

    entry: Entry
    end: int | None


class WaitingEntries:
    """Queue of entries in the order of logging; an entry put aside waits until all others are sent.

    Not thread-safe: the outbox calls it with its lock held. Only one thread removes entries.

    Args:
        entries: Each entry with the offset at which it ends in the journal.
    """

    def __init__(self, entries: Iterable[tuple[Entry, int]]) -> None:
        self._in_order = deque(Waiting(entry, end) for entry, end in entries)
        self._aside: deque[Waiting] = deque()

    @property
    def aside(self) -> list[Entry]:
        """Return the entries that were put aside."""
        return [waiting.entry for waiting in self._aside]

    def append(self, waiting: Waiting) -> None:
        """Add an entry at the end."""
        self._in_order.append(waiting)

    def all(self) -> list[Waiting]:
        """Return all entries; those that were put aside come last."""
        return [*self._in_order, *self._aside]

    def count(self, *, in_order_only: bool = False) -> int:
        """Count the waiting entries, with or without those that were put aside."""
        return len(self._in_order) + (0 if in_order_only else len(self._aside))

    def first_in_order(self, limit: int) -> list[Waiting]:
        """Return the first `limit` entries in the order of logging, without those put aside."""
        return list(islice(self._in_order, limit))

    def first_aside(self) -> list[Waiting]:
        """Return a window that holds the first entry that was put aside; empty if there is none."""
        return list(islice(self._aside, 1))

    def put_aside(self, window: Sequence[Waiting], index: int) -> None:
        """Make one entry of a window wait until all others are sent.

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
        """Remove the entries of a window from the queue, because the store has received them.

        Args:
            window: Window from `first_in_order` or `first_aside`.
        """
        source = self._aside if self._is_from_aside(window) else self._in_order
        for _ in window:
            source.popleft()

    def _is_from_aside(self, window: Sequence[Waiting]) -> bool:
        return bool(self._aside) and window[0] is self._aside[0]


def first_that_can_come_last(window: Sequence[Waiting]) -> int | None:
    """Return the index of the first entry that may be put aside; None if there is none."""
    return next(
        (
            index
            for index, waiting in enumerate(window)
            if isinstance(waiting.entry, _CAN_COME_LAST)
        ),
        None,
    )
