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
        typer.Argument(metavar="FILE...", help="Experiment, search-space and retraining files."),
    ],
    skip_data: Annotated[
        bool,
        typer.Option(
            "--skip-data",
            help="Do not check that the image files exist, e.g. if they are on another machine.",
        ),
    ] = False,
) -> None:
    """Check experiment, search-space and retraining files, without running anything.

    Every file is checked, and its errors are printed. An experiment whose local image files are
    missing is invalid, unless you give `--skip-data`. The exit code is 2 if a file is invalid.
    Nothing heavy is loaded, so the command is fast.

    Example:
    `orchestrator validate experiments/digits.yaml search_spaces/smoke.yaml`
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
            next_step="correct the path, or add --skip-data to check values only",
        )
