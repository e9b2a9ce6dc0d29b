"""`orchestrator gc`: remove unused entries from the stage store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import UserInputError
from orchestrator.terminal.printable import say


def gc(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[EXPERIMENT.yaml]...",
            help="Experiments whose stages stay, whatever their age.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="The stage store. Default: that of the experiments, or else .orchestrator/store.",
        ),
    ] = None,
    unused_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=36500,
            metavar="N",
            help="Remove entries unused for N days; 0 means for an hour.",
        ),
    ] = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove stage-store entries unused for N days.

    Entries are stages and their evaluations, tables of a pre-trained extractor's features, epoch
    checkpoints of runs that nobody resumed, and files of interrupted writers. A run that needs a
    removed entry computes it again. The stages of the experiments named here stay, and
    their tables: those of the files as they are, without `--set`.

    Examples:
    `orchestrator gc --dry-run`

    `orchestrator gc experiments/digits.yaml --unused-days 7`

    `orchestrator gc --store s3://bucket/stages --unused-days 90`
    """
    from orchestrator.config import load_experiment
    from orchestrator.config.experiment import StoreConfig
    from orchestrator.config.validation import validated

    experiments = [load_experiment(file) for file in files or []]
    if store == "":
        raise UserInputError(
            "--store is empty",
            next_step="give a local folder, s3:// or gs:// address, or leave it out",
        )
    uris = (
        []
        if store is None and experiments
        else [validated(StoreConfig, {"uri": store}).uri if store else StoreConfig().uri]
    )

    from orchestrator.pipelines.store.collect_garbage import collect_garbage
    from orchestrator.terminal.garbage import garbage_lines

    for report in collect_garbage(uris, experiments, unused_days, dry_run):
        say("\n".join(garbage_lines(report, dry_run)))
