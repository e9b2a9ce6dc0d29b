"""Create the console to which all terminal output is written."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.terminal.printable import printable


class _PrintableConsole(Console):
    """Console that escapes terminal control characters in text, but not those of Rich's styles."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - Rich's
        """Return the escaped text with Rich's layout."""
        return super().render_str(printable(text), **options)


def new_console(width_elsewhere: int = 120, *, stderr: bool = False) -> Console:
    """Return a console that shows text literally: a class named `[red]` is not a style, and a run
    named `:cat:` not an emoji.

    Args:
        width_elsewhere: Width in characters if the output is not a terminal.
        stderr: Whether to write to standard error.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _PrintableConsole(
        width=None if stream.isatty() else width_elsewhere,
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
    )
