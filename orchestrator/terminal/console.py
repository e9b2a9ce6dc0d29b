"""The kind of console on which everything is shown."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.terminal.printable import printable


class _PrintableConsole(Console):
    """Show no character that a terminal would take for a command, but for our own styles."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - Rich's
        """Return a text as Rich lays it out."""
        return super().render_str(printable(text), **options)


def new_console(width_elsewhere: int = 120, *, stderr: bool = False) -> Console:
    """Shows text as it is: a class may be called `[red]`, a run `:cat:`, and neither is a style of
    ours.

    Args:
        width_elsewhere: Where the output is no terminal, there is no width to keep to.
        stderr: Whether it writes to the standard error output.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _PrintableConsole(
        width=None if stream.isatty() else width_elsewhere,
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
    )
