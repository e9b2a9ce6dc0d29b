"""Show the progress of work on many images: as a bar in a terminal, or as occasional lines if the
output is not a terminal.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.reporting.quantities import duration
from orchestrator.terminal.lines import line_writer

_LINE_SECONDS = 10.0


class ImageProgress:
    """Progress bar that appears with the first processed image and disappears with the last.

    If the output is not a terminal, a line is printed every ten seconds instead. Work that takes
    less than ten seconds prints nothing.
    """

    def __init__(self, console: Console, what: str) -> None:
        """Create the display without showing anything.

        Args:
            console: The console that shows the progress.
            what: The work, such as `decoding`.
        """
        self._console = console
        self._what = what
        self._bar: Progress | None = None
        self._start = self._said = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Show the number of processed images out of the total number of images."""
        now = time.monotonic()
        self._start = self._start or now
        if self._console.is_terminal:
            self._show(done, total)
        elif now - max(self._start, self._said) >= _LINE_SECONDS:
            self._said = now
            left = duration((now - self._start) / done * (total - done))
            line_writer().write(f"{self._what} {done:,} of {total:,} images, about {left} left")
        if done == total:
            self.close()

    def close(self) -> None:
        """Remove the progress bar. If more images are processed later, a new bar starts."""
        if self._bar:
            self._bar.stop()
        self._bar, self._start = None, 0.0

    def _show(self, done: int, total: int) -> None:
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(self._what)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)
