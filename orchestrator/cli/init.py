"""`orchestrator init`: copy the starter files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.terminal.printable import say


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder to copy to, created if it is missing. Default: the current folder.",
        ),
    ] = Path(),
) -> None:
    """Copy ready-made experiment and search-space files into a folder, to start from.

    Change them as you like and keep them in your own repository. Existing files are never
    overwritten, so you can run the command again after an upgrade to get new starter files.

    Examples: `orchestrator init`, `orchestrator init learning`
    """
    from orchestrator.pipelines.starters.starters import copy_starters
    from orchestrator.terminal.starters import starter_lines

    for line in starter_lines(copy_starters(folder)):
        say(line)
