"""`orchestrator validate`: check files without running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import DataError, UserInputError
from orchestrator.terminal.printable import say

if TYPE_CHECKING:
    from orchestrator.config import Experiment


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Experiment, search space and retraining files."),
    ],
    skip_data: Annotated[
        bool,
        typer.Option(
            "--skip-data",
            help="Check values only: the data is on another machine, or not there yet.",
        ),
    ] = False,
) -> None:
    """Check experiment, search space and retraining files and say what is wrong, without running
    anything (and without loading torch, unless an extension does).

    An experiment whose local files of images are missing is wrong, too, unless `--skip-data` is
    given. Every file is checked; the exit code is 2 when one of them is wrong.
    """
    from orchestrator.config import Experiment, Retraining, load_any

    failed = False
    for file in files:
        try:
            loaded = load_any(file)
            if isinstance(loaded, Experiment) and not skip_data:
                _require_data(loaded, file)
            say(f"{file}: valid")
            if isinstance(loaded, Retraining):
                say("  its gate: " + "\n            ".join(loaded.gate.meaning()))
        except UserInputError as error:
            say(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(UserInputError.exit_code)


def _require_data(experiment: Experiment, file: Path) -> None:
    from orchestrator.config.missing_data import missing_data

    if missing := missing_data(experiment):
        raise DataError(
            "; ".join(missing),
            where=str(file),
            next_step="correct the path, or add --skip-data where only values are to be checked",
        )
