"""Create the Rich console that prints tables, progress bars and texts."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.terminal.printable import printable


class _PrintableConsole(Console):
    """Rich console that escapes the terminal control characters in a text. The control characters
    that Rich adds for styles are not escaped.
    """

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - Rich's
        """Escape a text, and convert the escaped text to a Rich `Text` object."""
        return super().render_str(printable(text), **options)


def new_console(width_elsewhere: int = 120, *, stderr: bool = False) -> Console:
    """Return a console that shows text literally: the class name `[red]` does not change the
    colour, and the run name `:cat:` does not become an emoji.

    Args:
        width_elsewhere: Width of the output in characters if the output is not a terminal.
        stderr: Whether to write to standard error instead of standard output.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _PrintableConsole(
        width=None if stream.isatty() else width_elsewhere,
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
    )
