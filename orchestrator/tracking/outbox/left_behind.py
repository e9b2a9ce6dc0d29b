"""Send the log entries that earlier sessions left on disk.

In a session, one process logs to one run and to the run's children. Each session keeps its log
entries in a folder, its spool, until the store has the entries. Entries are left there if the
process was killed or the store was down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from orchestrator.address import Address, is_same_place
from orchestrator.errors import (
    OrchestratorError,
    StorageUnavailableError,
    TrackingUnavailableError,
    UserInputError,
)
from orchestrator.masking import hide
from orchestrator.tracking.outbox.delivery import Delivery
from orchestrator.tracking.outbox.entries import Entry
from orchestrator.tracking.outbox.outbox import WINDOW
from orchestrator.tracking.outbox.spool import Destination, Spool

# Function that creates a `Delivery`, the object that sends log entries to a store. Its arguments
# are the destination and the run ids that a spool folder contains (see `Delivered.run_ids`).
DeliveryTo: TypeAlias = Callable[[Destination, Mapping[str, str]], Delivery]


@dataclass(frozen=True)
class LeftBehind:
    """Result of sending the log entries of a session whose process is gone.

    In a session, one process logs to one run and to the run's children.

    Attributes:
        folder: Spool folder of the session.
        destination: The store and the experiment of the session.
        num_sent: Number of entries that the store accepted.
        num_refused: Number of entries that the store refused permanently; the folder keeps these
            entries, each with the reason.
        error: Error that ended the sending; the entries that are not sent keep waiting. None if
            all entries were sent or refused.
        is_store_away: Whether the store could not be opened.
    """

    folder: Path
    destination: Destination
    num_sent: int
    num_refused: int
    error: OrchestratorError | None
    is_store_away: bool = False


def deliver_left_behind(
    spool_dir: Path, delivery_to: DeliveryTo, uri: str | None = None, *, only_there: bool = True
) -> list[LeftBehind]:
    """Send the log entries of all sessions whose process is gone.

    In a session, one process logs to one run and to the run's children.

    Args:
        spool_dir: Folder that contains the spool folder (log entries on disk) of each session.
        delivery_to: Function that creates a `Delivery`, the object that sends entries to a store.
        uri: URI of a store, including its secrets, for the sessions that log to this store; or None
            to use only the URIs in the spool folders, which contain no secrets.
        only_there: Whether to skip sessions that log to a store other than `uri`; has no effect if
            `uri` is None.
    """
    found: list[LeftBehind] = []
    for spool in Spool.left_behind(spool_dir):
        try:
            is_there = uri is not None and is_same_place(uri, spool.destination.uri)
            if is_there or uri is None or not only_there:
                address = uri if is_there else None
                found.append(_deliver(spool, delivery_to, found, address))
        finally:
            spool.close()
    return found


def _deliver(
    spool: Spool, delivery_to: DeliveryTo, before: Sequence[LeftBehind], uri: str | None
) -> LeftBehind:
    """Send the log entries of one session.

    If the session's store could not be opened for an earlier session in `before`, do not try again,
    because each try may take seconds.
    """
    destination, num_sent, num_refused = spool.destination, 0, 0
    try:
        address = uri or Address(destination.uri).without_placeholders()
    except ValueError as problem:
        error: OrchestratorError | None = UserInputError(str(problem), str(spool.folder))
        return LeftBehind(spool.folder, destination, 0, 0, error)
    destination = replace(destination, uri=address)
    error = next(
        (
            left.error
            for left in before
            if left.is_store_away and left.destination.uri == destination.uri
        ),
        None,
    )
    if error is not None:
        return LeftBehind(spool.folder, destination, 0, 0, error, is_store_away=True)
    delivery = delivery_to(destination, spool.delivered.run_ids)
    try:
        for num_entries, refused in _sent_windows(spool, delivery):
            num_sent += num_entries - refused
            num_refused += refused
    except OrchestratorError as reason:
        error = reason
    except OSError as reason:
        error = StorageUnavailableError(
            f"the spool cannot be used ({reason.strerror or reason})", str(spool.folder)
        )
    except Exception as reason:  # noqa: BLE001 - a failure must neither stop a new run nor block other sessions
        said = hide(f"{type(reason).__name__}: {reason}", destination.uri)
        error = OrchestratorError(said, str(spool.folder))
    is_store_away = isinstance(error, TrackingUnavailableError) and not delivery.is_connected
    return LeftBehind(spool.folder, destination, num_sent, num_refused, error, is_store_away)


def _sent_windows(spool: Spool, delivery: Delivery) -> Iterator[tuple[int, int]]:
    """Send the waiting entries of a spool, window by window, and then the entries put aside.

    For each call of `Delivery.send`, yield the number of entries and of refused entries.
    """
    waiting, aside = spool.waiting(), spool.aside()
    for start in range(0, len(waiting), WINDOW):
        window = waiting[start : start + WINDOW]
        refused = _send(spool, delivery, [entry for entry, _ in window])
        spool.note_delivered(window[-1][1], delivery.run_ids, aside)
        yield len(window), refused
    while aside:
        refused = _send(spool, delivery, [aside.pop(0)])
        spool.note_delivered(spool.delivered.offset, delivery.run_ids, aside)
        yield 1, refused


def _send(spool: Spool, delivery: Delivery, entries: Sequence[Entry]) -> int:
    refused = delivery.send(entries)
    for one in refused:
        spool.note_refused(one.entry, one.reason)
    return len(refused)
