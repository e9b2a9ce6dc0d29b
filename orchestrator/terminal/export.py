"""Show the export of a teacher or a student: progress, then a table. The table compares an exported
teacher with the student of the same run, or an exported student with the teacher.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from orchestrator.export.comparison import Comparison
from orchestrator.export.formats import RUNTIMES
from orchestrator.pipelines.export.outcome import TOLERATED_LOSS, Exported, Measured
from orchestrator.reporting.quantities import count, percent, size


class TerminalExportListener:
    """Listener of an export: shows a progress bar with the remaining time in a terminal, and prints
    one line per step if the output is not a terminal.
    """

    def __init__(self, console: Console) -> None:
        """Start the progress bar without a text. Each call of `step` shows the name of a step.

        Args:
            console: The console that shows the progress bar.
        """
        self._console = console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()

    def step(self, what: str) -> None:
        """Show the name of the export step that begins."""
        if self._console.is_terminal:
            self._progress.reset(self._task, description=what, total=None)
        else:
            self._console.print(what, soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        """Advance the progress bar."""
        self._progress.update(self._task, completed=done, total=total)

    def close(self) -> None:
        """Remove the progress bar."""
        self._progress.stop()


def show_export(exported: Exported, console: Console) -> None:
    """Show a table that compares the exported model with the run's other model (teacher or
    student). Then show how closely the predictions of the exported file agree with the original
    model, and the path of the file.
    """
    console.print(_table(exported))
    for line in _lines(exported):
        console.print(line, soft_wrap=True)


def loss_warning(exported: Exported) -> str:
    """Return a warning if the int8 file loses more accuracy than is tolerated; otherwise an empty
    text.
    """
    if exported.loss <= TOLERATED_LOSS:
        return ""
    return (
        f"warning: int8 costs {100 * exported.loss:.1f} percentage points of accuracy; "
        "without --quantize the file is larger and exact (small networks lose the most)"
    )


def _table(exported: Exported) -> Table:
    description = exported.description
    title = (
        f"{description.role} of run {description.run_id}: {len(description.class_names)} classes"
    )
    table = Table(title=title, title_justify="left")
    columns = [
        exported.measured,
        exported.quantized.measured if exported.quantized else None,
        exported.other,
    ]
    measured = [column for column in columns if column is not None]
    table.add_column("")
    for column in measured:
        table.add_column(column.name, justify="right")
    for name, cells in _rows(measured, RUNTIMES[exported.kind]).items():
        table.add_row(name, *cells)
    return table


def _rows(measured: list[Measured], runtime: str) -> dict[str, list[str]]:
    return {
        "parameters": [count(each.num_parameters) for each in measured],
        "file": [size(each.num_bytes) for each in measured],
        f"one image, one thread, {runtime}": [f"{1000 * each.seconds:.2f} ms" for each in measured],
        "last accuracy": [percent(each.accuracy) for each in measured],
    }


def _lines(exported: Exported) -> Iterator[str]:
    yield f"compared with the original on {exported.judged_on}: {_agreement(exported.comparison)}"
    if exported.quantized:
        yield f"{exported.quantized.how}: {_agreement(exported.quantized.comparison)}"
    yield str(exported.path)


def _agreement(comparison: Comparison) -> str:
    return (
        f"largest logit difference {comparison.largest_difference:.2g}, equal predictions"
        f" {percent(comparison.equal_predictions)}"
    )
