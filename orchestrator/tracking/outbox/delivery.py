"""The protocol for sending log entries to a tracking store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.tracking.outbox.entries import Entry


@dataclass(frozen=True)
class Refused:
    """An entry that the store refuses permanently, with the reason."""

    entry: Entry
    reason: str


class Delivery(Protocol):
    """Sends the entries of one session, in order.

    Sending an entry again does not change the store: a point is identified by name, step and time
    of logging, settings and tags by key and value, and a new run by the id in its `Begin`. So after
    an error, the caller sends all entries again.

    Not thread-safe.
    """

    @property
    def run_ids(self) -> Mapping[str, str]:
        """Return the store's ids of the runs that were created, by the id in their `Begin`."""
        ...

    @property
    def is_connected(self) -> bool:
        """Return whether the store was ever reached."""
        ...

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Send all entries, and return those that the store refuses permanently.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: The store refuses access, or the server that answers is not MLflow.
        """
        ...

    def answers(self) -> bool:
        """Return whether the store answers now."""
        ...

    def beat(self) -> None:
        """Record for each open run that its process is alive.

        Raises:
            TrackingUnavailableError: The store does not answer.
            UserInputError: The store refuses access.
        """
        ...
