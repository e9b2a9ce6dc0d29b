"""orchestrator init: copy the files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.terminal.printable import say


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; it is made if it is missing.")
    ] = Path(),
) -> None:
    """Copy experiments and search spaces to start from into a folder.

    They become yours: change them, and keep them in your own repository. Files that are there
    already stay as they are, so that a newer version's starters can be added at any time.

    Examples: `orchestrator init`, `orchestrator init learning`
    """
    from orchestrator.pipelines.starters.starters import copy_starters
    from orchestrator.terminal.starters import starter_lines

    for line in starter_lines(copy_starters(folder)):
        say(line)
