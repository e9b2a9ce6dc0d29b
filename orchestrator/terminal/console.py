"""The kind of console on which everything is shown."""

from __future__ import annotations

import sys

from rich.console import Console


def new_console(width_elsewhere: int = 120, *, stderr: bool = False) -> Console:
    """Shows text as it is: a class may be called `[red]`, a run `:cat:`, and neither is a style of
    ours.

    Args:
        width_elsewhere: Where the output is no terminal, there is no width to keep to.
        stderr: Whether it writes to the standard error output.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        width=None if stream.isatty() else width_elsewhere,
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
    )
