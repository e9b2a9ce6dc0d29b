"""Show the result of `orchestrator reconcile`, which sends undelivered records to MLflow and closes
abandoned runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.records.reconcile import Reconciliation


def reconciliation_lines(found: Reconciliation) -> Iterator[str]:
    """Yield a line for each earlier session (one process that recorded runs) with undelivered
    records, and a line for each tracking store with the number of abandoned runs that were closed.
    """
    for left in found.left_behind:
        text = (
            f"{left.folder.name}: {left.num_sent} entries sent to experiment"
            f" {left.destination.experiment!r}"
        )
        if left.num_refused:
            text += f", {left.num_refused} rejected (see {left.folder})"
        yield text + (
            f", the other entries still wait to be sent (delete {left.folder} to discard these"
            " entries)"
            if left.error
            else ""
        )
    for store, run_ids in found.closed.items():
        yield f"{store}: {len(run_ids)} abandoned runs closed as FAILED" + (
            f" ({', '.join(run_ids)})" if run_ids else ""
        )
    if not found.left_behind and not found.closed and not found.errors:
        yield "nothing to reconcile: no spool and no tracking database here"
