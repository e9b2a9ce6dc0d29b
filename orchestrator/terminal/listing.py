"""Show the records of an MLflow tracking store: one table for each kind, such as runs or sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from orchestrator.masking import shown
from orchestrator.pipelines.records.listing import (
    KINDS,
    Listing,
    final_accuracy,
    state_of,
)
from orchestrator.reporting.quantities import NOTHING, duration, percent
from orchestrator.tracking.listed_version import ListedVersion
from orchestrator.tracking.tracked_run import TrackedRun

_ID_LETTERS = 8
_NUMBERS = {"took", "last", "average", "classes"}


def show_listing(listing: Listing, console: Console) -> None:
    """Show a table for each kind of record in a listing. If the listing omits records, say how to
    show more.
    """
    tables = {
        "runs": _runs(listing.runs),
        "sweeps": _sweeps(listing.sweeps),
        "champions": _champions(listing.champions),
        "retrainings": _retrainings(listing.retrainings),
    }
    for kind in KINDS:
        if tables[kind].row_count:
            console.print(tables[kind])
    if not any(table.row_count for table in tables.values()):
        console.print(f"no matching records in {listing.uri}", soft_wrap=True)
    if listing.more:
        console.print(f"there are more {', '.join(listing.more)}: --limit N shows them")


def _runs(runs: Sequence[TrackedRun]) -> Table:
    table = _table(
        "Runs", "run", "name", "experiment", "state", "method", "started", "took", "last", "average"
    )
    table.caption = "last, average: the student's last and average incremental accuracy"
    for run in runs:
        table.add_row(
            run.run_id[:_ID_LETTERS],
            shown(run.name),
            shown(run.experiment),
            run.status.lower(),
            run.method or NOTHING,
            _moment(run.started),
            _took(run),
            percent(final_accuracy(run, "last_accuracy")),
            percent(final_accuracy(run, "average_incremental_accuracy")),
        )
    return table


def _sweeps(sweeps: Sequence[TrackedRun]) -> Table:
    table = _table("Sweeps", "sweep", "name", "experiment", "state", "method", "started", "took")
    for sweep in sweeps:
        table.add_row(
            sweep.run_id[:_ID_LETTERS],
            shown(sweep.name),
            shown(sweep.experiment),
            sweep.status.lower(),
            sweep.method or NOTHING,
            _moment(sweep.started),
            _took(sweep),
        )
    return table


def _champions(versions: Sequence[ListedVersion]) -> Table:
    table = _table("Champions", "model", "run", "experiment", "registered", "classes", "last")
    for version in versions:
        table.add_row(
            f"{version.model}/{version.version}",
            version.run_id[:_ID_LETTERS] or NOTHING,
            shown(version.experiment) or NOTHING,
            _moment(version.created),
            _count(version.num_classes),
            percent(version.last_accuracy),
        )
    return table


def _retrainings(versions: Sequence[ListedVersion]) -> Table:
    table = _table(
        "Retrainings", "model", "state", "run", "registered", "classes", "last", "reason"
    )
    for version in versions:
        table.add_row(
            f"{version.model}/{version.version}",
            state_of(version),
            version.run_id[:_ID_LETTERS] or NOTHING,
            _moment(version.created),
            _count(version.num_classes),
            percent(version.last_accuracy),
            shown(version.reason),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


def _moment(moment: datetime | None) -> str:
    """Return a time in UTC as text that sorts by time, such as `2026-11-22 06:06`."""
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _took(run: TrackedRun) -> str:
    return NOTHING if run.seconds is None else duration(run.seconds)


def _count(number: int | None) -> str:
    return NOTHING if number is None else str(number)
