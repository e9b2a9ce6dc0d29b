"""Show the result of a clean-up, which removes unused entries from a stage store."""

from __future__ import annotations

from orchestrator.pipelines.store.collect_garbage import GarbageReport
from orchestrator.reporting.quantities import size
from orchestrator.stages.retention import Kind

_WIDTH = max(map(len, Kind))


def garbage_lines(report: GarbageReport, dry_run: bool) -> list[str]:
    """Return lines that show the result of a clean-up: for each kind of entry in a stage store, the
    number and size of the removed entries and of the remaining entries. In a dry run, the first
    lines name every entry that would be removed.
    """
    if report.parts is None:
        return [f"{report.uri}: no stage store here; nothing to remove"]
    listed = (
        [f"would remove  {part.path}  {size(part.num_bytes)}" for part in report.parts if part.goes]
        if dry_run
        else []
    )
    lines = [*listed, f"{report.uri}:"]
    for kind in Kind:
        gone, left = report.removed(kind), report.left(kind)
        removed = (
            f"{gone.count:6} {'to remove' if dry_run else 'removed'} {size(gone.num_bytes):>9}"
        )
        lines.append(
            f"  {kind.value:{_WIDTH}}{removed}   {left.count:6} left {size(left.num_bytes):>9}"
        )
    return lines
