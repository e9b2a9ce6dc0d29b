"""The lease under which a tick, or a rollback, changes a retraining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.config.addresses import below
from orchestrator.config.retraining import Retraining
from orchestrator.errors import TransientError
from orchestrator.retraining.journal import Journal
from orchestrator.retraining.lease import Heartbeat, Lease, this_holder
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.settling import settle, without_deleted
from orchestrator.retraining.state import PutAside, State
from orchestrator.retraining.storage import ObjectStorage
from orchestrator.retraining.version_states import CHALLENGER, CHAMPION, PREVIOUS, UNDECIDED


def journal_place(retraining: Retraining) -> str:
    """Return the folder, or address, of a retraining's journal: one for each tracking store."""
    folder = hashlib.sha256(retraining.experiment.tracking.uri.encode()).hexdigest()[:8]
    return below(retraining.journal_uri, f"{retraining.name}-{folder}")


@contextmanager
def held_lease(retraining: Retraining, pairs: ModelPairs) -> Iterator[Lease]:
    """Hold the lease, with journal and registry settled before and after.

    Args:
        retraining: Whose lease.
        pairs: The registry.

    Raises:
        LockedError: Another process has it.
        TransientError: Journal or registry does not answer.
    """
    journal = Journal(ObjectStorage(journal_place(retraining)))
    lease = Lease.acquire(journal, retraining.lease, this_holder())
    try:
        with Heartbeat(lease, retraining.lease.heartbeat_seconds):
            settle(lease, pairs)
            yield lease
            if lease.state.late_tellers:
                settle(lease, pairs)
    finally:
        with suppress(TransientError):  # whoever comes next sees that this process is gone
            lease.release()


def state_without_lease(retraining: Retraining, pairs: ModelPairs) -> State:
    """Return the state as a dry run sees it: the registry's, and of the journal what agrees with
    it.

    Args:
        retraining: Whose.
        pairs: The registry.

    Raises:
        UserInputError: The champion is a version that no retraining has made.
        TransientError: Journal or registry does not answer.
    """
    champion, challenger = pairs.holder_of(CHAMPION), pairs.holder_of(CHALLENGER)
    uri = journal_place(retraining)
    is_there = "://" in uri or Path(uri).is_dir()  # opening it would make the folder
    last = Journal(ObjectStorage(uri)).last() if is_there else None
    if last is not None and last.state.champion == champion:
        return without_deleted(last.state, pairs)
    is_undecided = challenger is not None and pairs.state_of(challenger) in UNDECIDED
    put_aside = () if challenger is None or is_undecided else (PutAside(challenger),)
    return State(champion, pairs.holder_of(PREVIOUS), challenger, put_aside=put_aside)
