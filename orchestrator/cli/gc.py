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
            help="Experiments whose stages are kept, however old they are.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="The stage store. Default: the experiments' store, otherwise .orchestrator/store.",
        ),
    ] = None,
    unused_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=36500,
            metavar="N",
            help="Remove entries unused for N days; 0 means unused for one hour.",
        ),
    ] = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove stage-store entries unused for N days.

    Entries are stages with their evaluations, tables of features from pre-trained extractors, epoch
    checkpoints of interrupted runs, and partial files of interrupted writers. A run that needs a
    removed entry computes it again. Stages and feature tables of the experiments that you name are
    kept; the files are read as they are, without `--set`.

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
            next_step="give a local folder or an s3:// or gs:// address, or omit the option",
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
