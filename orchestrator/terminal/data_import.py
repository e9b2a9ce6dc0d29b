"""Show the result of importing images. This module is separate from `terminal.data`, which loads
torch, because an import does not need torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.data.samples import HALVES
from orchestrator.pipelines.data.importing import ImportReport
from orchestrator.reporting.quantities import count


def import_lines(report: ImportReport) -> Iterator[str]:
    """Yield lines with the written files, the number of skipped images, and the configuration that
    uses the files.
    """
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
