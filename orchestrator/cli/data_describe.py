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
            help="An experiment, to describe its data; or a SOURCE as in `data import`.",
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
            help="Side in pixels to which images of a SOURCE are resized; an experiment sets the"
            " size itself.",
        ),
    ] = 32,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Also draw some images of each class, as the models see them, into this file.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN_ID",
            help="With an experiment: also list the labels that this run finds most suspicious.",
        ),
    ] = None,
) -> None:
    """Describe a data set: images per class, sizes, colour modes, fingerprint and problems.

    These problems are reported: an image that cannot be decoded, a class folder without images, a
    class that has test images but no training images, the same image in training and test data or
    in two classes, and a duplicate file name. The fingerprint is the one that MLflow shows. Of the
    images without labels, the command counts those that a run of the experiment would use. The
    command reads every image once and changes nothing.

    With `--run`, it also lists the labels that the run's last teacher and student find least
    plausible. The run is looked up in the experiment's MLflow store.

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
            "--set changes an experiment file", next_step="name an EXPERIMENT.yaml, or omit --set"
        )
    if experiment is None and run is not None:
        raise UserInputError(
            "--run needs an experiment file", next_step="name the EXPERIMENT.yaml of the run"
        )
    if experiment is not None and (root is not None or download or test_fraction is not None):
        what = "--root, --download and --test-fraction do not apply to an experiment file"
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
