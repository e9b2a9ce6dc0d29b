"""Hold the lease of a retraining. Only the process that holds the lease may change the retraining
in a tick, a decision or a rollback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.address import Address
from orchestrator.config.addresses import below
from orchestrator.config.retraining import Retraining
from orchestrator.errors import TransientError
from orchestrator.retraining.journal import Entry, Journal
from orchestrator.retraining.lease import Heartbeat, Lease, this_holder
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.settling import settle, without_deleted
from orchestrator.retraining.state import PutAside, State
from orchestrator.retraining.storage import ObjectStorage
from orchestrator.retraining.version_states import CHALLENGER, CHAMPION, PREVIOUS, UNDECIDED


def journal_place(retraining: Retraining) -> str:
    """Return the folder or the address of a retraining's journal. There is one journal per tracking
    store. The journal does not depend on the password of the store.
    """
    return _place(retraining, Address(retraining.experiment.tracking.uri).identity)


@contextmanager
def held_lease(retraining: Retraining, pairs: ModelPairs) -> Iterator[Lease]:
    """Hold the lease while the `with` block runs. Before and after the block, bring journal and
    registry into agreement.

    Args:
        retraining: The retraining.
        pairs: Registry of the retraining's models.

    Raises:
        LockedError: Another process holds the lease.
        TransientError: Journal or registry does not answer.
    """
    lease = _acquired(retraining)
    try:
        with Heartbeat(lease, retraining.lease.heartbeat_seconds):
            settle(lease, pairs)
            yield lease
            if lease.state.late_tellers:
                settle(lease, pairs)
    finally:
        # an unreleased lease is harmless: the next process detects that this process has ended
        with suppress(TransientError):
            lease.release()


def state_without_lease(retraining: Retraining, pairs: ModelPairs) -> State:
    """Return the state of a retraining (its champion and its undecided or rejected candidates) for
    a dry run, which takes no lease. Use the state in the journal if it has the same champion as the
    registry, otherwise the state in the registry.

    Args:
        retraining: The retraining.
        pairs: Registry of the retraining's models.

    Raises:
        UserInputError: The champion is a version that no retraining has registered.
        TransientError: Journal or registry does not answer.
    """
    champion, challenger = pairs.holder_of(CHAMPION), pairs.holder_of(CHALLENGER)
    last = _last_entry(_existing(journal_place(retraining)), _earlier(retraining))
    if last is not None and last.state.champion == champion:
        return without_deleted(last.state, pairs)
    is_undecided = challenger is not None and pairs.state_of(challenger) in UNDECIDED
    put_aside = () if challenger is None or is_undecided else (PutAside(challenger),)
    return State(champion, pairs.holder_of(PREVIOUS), challenger, put_aside=put_aside)


def _acquired(retraining: Retraining) -> Lease:
    """Acquire the lease of a retraining.

    The journal's folder does not depend on the password of the tracking store. In earlier versions
    of this program, the folder did depend on the password. If such an earlier journal exists, its
    state is moved to the new journal once. During the move, the lease of the earlier journal is
    held, so that no other process uses the earlier journal.
    """
    journal, earlier = Journal(ObjectStorage(journal_place(retraining))), _earlier(retraining)
    if earlier is None or earlier.last() is None:
        return Lease.acquire(journal, retraining.lease, this_holder())
    held = Lease.acquire(earlier, retraining.lease, this_holder())
    try:
        lease = Lease.acquire(journal, retraining.lease, this_holder(), first=held.state)
    except BaseException:
        held.release()
        raise
    for name in earlier.storage.names("monitoring"):
        journal.storage.create(name, earlier.storage.read(name) or b"")
    earlier.remove()
    return lease


def _earlier(retraining: Retraining) -> Journal | None:
    """Return the journal in the folder that earlier versions of this program used; None if there is
    none.
    """
    place = _place(retraining, retraining.experiment.tracking.uri)
    return None if place == journal_place(retraining) else _existing(place)


def _existing(place: str) -> Journal | None:
    """Return the journal at a folder or an address. Return None for a missing folder, because
    opening the journal would create the folder.
    """
    is_there = "://" in place or Path(place).is_dir()
    return Journal(ObjectStorage(place)) if is_there else None


def _last_entry(*journals: Journal | None) -> Entry | None:
    """Return the last entry of the first journal that has entries; None if no journal has
    entries.
    """
    entries = (journal.last() for journal in journals if journal is not None)
    return next((entry for entry in entries if entry is not None), None)


def _place(retraining: Retraining, tracking: str) -> str:
    digest = hashlib.sha256(tracking.encode()).hexdigest()[:8]
    return below(retraining.journal_uri, f"{retraining.name}-{digest}")
