"""`orchestrator rollback`: return to the previous champion."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Overrides, RetrainingFile
from orchestrator.terminal.printable import say


def rollback(
    retraining: RetrainingFile,
    overrides: Overrides = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason in a few words; stored in a tag.")
    ] = "rolled back by a person",
) -> None:
    """Return to the previous champion: move the alias `champion` back to the version with the alias
    `previous`.

    The next ticks skip the files that the rolled-back models learned from, until these files
    change. A second rollback goes back one more champion. The exit code is 3 while a retraining is
    running.

    Example:
    `orchestrator rollback experiments/retraining_digits.yaml --reason "confuses 3 and 8 in the
    shop"`
    """
    from orchestrator.config import load_retraining

    loaded = load_retraining(retraining, overrides or [])

    from orchestrator.pipelines.retraining.rollback import rollback as return_to_previous

    champion, rolled_back = return_to_previous(loaded, reason)
    say(f"champion: {champion}; rolled back: {rolled_back}")
