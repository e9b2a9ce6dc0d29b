"""Define the protocol for sending log entries to a tracking store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.tracking.outbox.entries import Entry


@dataclass(frozen=True)
class Refused:
    """A log entry that the store refuses permanently, with the reason."""

    entry: Entry
    reason: str


class Delivery(Protocol):
    """Sends the log entries of one session, in the order of logging.

    In a session, one process logs to one run and to the run's children.

    After an error, the caller sends all entries again. Sending an entry twice has no effect: a
    metric point is identified by its name, step and time of logging, a parameter or tag by its key
    and value, and a new run by the id in its `Begin` entry.

    Not thread-safe.
    """

    @property
    def run_ids(self) -> Mapping[str, str]:
        """Return the store's id of each run that was created or reopened, by the id in the run's
        `Begin` or `Resume` entry.
        """
        ...

    @property
    def is_connected(self) -> bool:
        """Return whether the store was ever reached."""
        ...

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Send all entries, and return the entries that the store refuses permanently.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: The store refuses access, or the server that answers is not MLflow.
        """
        ...

    def answers(self) -> bool:
        """Return whether the store answers now."""
        ...

    def beat(self) -> None:
        """Record in the store, for each open run, that the run's process is alive.

        Raises:
            TrackingUnavailableError: The store does not answer.
            UserInputError: The store refuses access.
        """
        ...
