"""The lease under which a tick, or a rollback, changes a retraining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchestrator.config.addresses import below
from orchestrator.config.retraining import Retraining
from orchestrator.errors import TransientError
from orchestrator.retraining.journal import Journal
from orchestrator.retraining.lease import Heartbeat, Lease, this_holder
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import settle
from orchestrator.retraining.storage import ObjectStorage


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
