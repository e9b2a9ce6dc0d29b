"""Show which starter files (experiments and search spaces) were copied, and the next step."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.starters.starters import CopiedStarters


def starter_lines(copied: CopiedStarters) -> Iterator[str]:
    """Yield a line for every starter file that was written, a line for every existing file that was
    kept because it differs from the starter, and the first command to run.
    """
    for name in copied.written:
        yield f"written  {copied.folder / name}"
    for name in copied.kept:
        yield f"kept     {copied.folder / name}  (differs from the starter)"
    if not copied.written and not copied.kept:
        yield f"all {len(copied.equal)} starters are in {copied.folder} already"
    yield f"next     orchestrator run {copied.folder / 'experiments' / 'digits.yaml'}"
