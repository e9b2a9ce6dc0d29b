"""Show the result of an import; this module is separate from `data`, as an import needs no
torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.data.samples import HALVES
from orchestrator.pipelines.data.importing import ImportReport
from orchestrator.reporting.quantities import count


def import_lines(report: ImportReport) -> Iterator[str]:
    """Yield the written files, the number of skipped images, and how to use the files."""
    if report.survey is None:
        yield "nothing new: everything was imported earlier"
    for half in HALVES:
        yield f"{half:5}  {count(report.num_images[half]):>9} images  {report.files[half]}"
    if report.num_bad:
        yield f"skipped  {report.num_bad:>7,} images  {report.bad_files}"
    yield from (f"note: {finding}" for finding in report.notes)
    yield (
        f"use it:  data: {{kind: parquet, train: {report.files['train']}, test:"
        f" {report.files['test']}}}"
    )
