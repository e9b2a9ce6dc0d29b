"""`orchestrator rollback`: return to the champion before."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Overrides, RetrainingFile
from orchestrator.terminal.printable import say


def rollback(
    retraining: RetrainingFile,
    overrides: Overrides = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Kept beside the versions.")
    ] = "rolled back by a person",
) -> None:
    """Return to the champion before: the alias `champion` moves back to the version that has
    `previous`.

    The next ticks skip the files that the rolled-back models had learned from, until those change.
    A second rollback goes one champion further back. Exit code 3 while a retraining works.

    Example:
    `orchestrator rollback experiments/retraining_digits.yaml --reason "confuses 3 and 8 in the
    shop"`
    """
    from orchestrator.config import load_retraining

    loaded = load_retraining(retraining, overrides or [])

    from orchestrator.pipelines.retraining.rollback import rollback as return_to_previous

    champion, rolled_back = return_to_previous(loaded, reason)
    say(f"champion: {champion}; rolled back: {rolled_back}")
