"""The protocol by which entries reach a tracking store."""

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
    of logging, settings and tags by their value, a run created here by the id of its `Begin`. So
    after an error everything is sent again.

    Not thread-safe.
    """

    @property
    def run_ids(self) -> Mapping[str, str]:
        """Return the store's ids of the runs created here, by the id of their `Begin`."""
        ...

    @property
    def is_connected(self) -> bool:
        """Return whether the store was ever reached."""
        ...

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Send all entries, and return those that the store refuses permanently.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: It refuses access, or something other than an MLflow server answers.
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
