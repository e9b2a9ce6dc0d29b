"""`orchestrator validate`: check files without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import UserInputError
from orchestrator.terminal.printable import say


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Experiment, search space and retraining files."),
    ],
) -> None:
    """Check experiment, search space and retraining files and say what is wrong, without running
    anything (and without loading torch, unless an extension does).

    Every file is checked; the exit code is 2 when one of them is wrong.
    """
    from orchestrator.config import Retraining, load_any

    failed = False
    for file in files:
        try:
            loaded = load_any(file)
            say(f"{file}: valid")
            if isinstance(loaded, Retraining):
                say("  its gate: " + "\n            ".join(loaded.gate.meaning()))
        except UserInputError as error:
            say(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(UserInputError.exit_code)
