"""The protocol by which entries reach a tracking store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.tracking.outbox.entries import Entry


@dataclass(frozen=True)
class Refused:
    """Hold an entry that the store will never take, and why."""

    entry: Entry
    reason: str


class Delivery(Protocol):
    """Send the entries of one session, in the order in which they are handed over.

    Sending again what the store already has changes nothing there: a point is known by its name,
    step and the time at which it was logged, settings and tags by their value, a run that is
    created here by the id of its `Begin`. So after an error everything is sent again.

    One thread at a time uses it.
    """

    @property
    def run_ids(self) -> Mapping[str, str]:
        """The store's ids of the runs that were created here, by the id of their `Begin`."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the store was ever reached."""
        ...

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Send all entries, and return those that the store refuses for ever.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: The store refuses access, or something else answers in its place.
        """
        ...

    def answers(self) -> bool:
        """Return whether the store answers now."""
        ...

    def beat(self) -> None:
        """Record for every open run that its process lives.

        Raises:
            TrackingUnavailableError: The store does not answer.
            UserInputError: The store refuses access.
        """
        ...
