"""`orchestrator data describe`: describe a data set."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Download, Overrides, Root, TestFraction
from orchestrator.errors import UserInputError


def describe(  # noqa: PLR0913, PLR0917 - the command's options
    source: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT.yaml|SOURCE",
            help="The data of an experiment, or what `import` takes.",
        ),
    ],
    overrides: Overrides = None,
    root: Root = None,
    download: Download = False,
    test_fraction: TestFraction = None,
    image_size: Annotated[
        int,
        typer.Option(
            "--image-size",
            min=8,
            max=512,
            metavar="N",
            help="Side to which images are resized; an experiment has its own.",
        ),
    ] = 32,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draw some images of each class, as the models see them."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN_ID",
            help="With an experiment: show the labels that this run of it doubts most.",
        ),
    ] = None,
) -> None:
    """Say what a data set holds: classes with counts, sizes, modes, fingerprint, and what is odd
    about it.

    Odd is: an image that cannot be decoded, a class folder without images, a class in test but not
    in training, the same image in training and in test or under two classes, a file name that comes
    twice. The fingerprint is the one that MLflow shows. Images without labels are counted as a run
    of the experiment would use them. Nothing is changed; every image is read once. With `--run`,
    the labels follow that the last teacher and student of a run doubt most; the run is looked up in
    the experiment's MLflow store.

    Examples:
    `orchestrator data describe experiments/digits.yaml --sheet digits.png`

    `orchestrator data describe experiments/digits.yaml --run 3f2a9c1e`

    `orchestrator data describe photos --image-size 64`

    `orchestrator data describe torchvision:CIFAR10 --root ~/torchvision`
    """
    from orchestrator.config import load_experiment

    experiment = (
        load_experiment(Path(source), overrides or [])
        if source.endswith((".yaml", ".yml"))
        else None
    )
    if experiment is None and overrides:
        raise UserInputError(
            "--set is for experiments", next_step="name an EXPERIMENT.yaml, or leave --set out"
        )
    if experiment is None and run is not None:
        raise UserInputError(
            "--run is for experiments", next_step="name the EXPERIMENT.yaml of the run"
        )
    if experiment is not None and (root is not None or download or test_fraction is not None):
        what = "--root, --download and --test-fraction are for a SOURCE; an experiment has its own"
        raise UserInputError(what, where=source, next_step="use --set data.root=DIR and the like")

    from orchestrator.pipelines.data.describe import describe_data
    from orchestrator.pipelines.data.describe_unlabeled import describe_unlabeled
    from orchestrator.pipelines.data.sources import named_source
    from orchestrator.pipelines.data.suspicious_labels import doubted_by_run
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.data import show_description, show_doubted, show_unlabeled
    from orchestrator.terminal.image_progress import ImageProgress

    config = (
        experiment.data
        if experiment
        else named_source(source, root, download, test_fraction, image_size)
    )
    doubted = doubted_by_run(run, experiment.tracking.uri) if experiment and run else None
    with closing(ImageProgress(new_console(stderr=True), "reading")) as progress:
        description = describe_data(config, sheet, progress)
        unlabeled = (
            describe_unlabeled(experiment, description.table, progress) if experiment else None
        )
    show_description(description, new_console())
    if doubted is not None:
        show_doubted(doubted, description, new_console())
    if unlabeled is not None:
        show_unlabeled(unlabeled, new_console())
