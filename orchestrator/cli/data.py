"""Commands on data sets: data import, data describe."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.application import Overrides, app
from orchestrator.errors import UserInputError

data = typer.Typer(
    no_args_is_help=True,
    help="Look at data sets, and turn them into files that every run reads fast.",
)
app.add_typer(data, name="data")

Root = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With torchvision:NAME: the folder with its files."),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="With torchvision:NAME: download what is missing. Needs a network."
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        "--test-fraction",
        min=0.01,
        max=0.99,
        metavar="F",
        help=(
            "Share of each class that becomes test data where there is none; 0.2, of the digits"
            " 0.3, if not given."
        ),
    ),
]


@data.command("import")
def import_(  # noqa: PLR0913, PLR0917 - the command's options
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A folder, Parquet files, torchvision:NAME, or digits."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for train.parquet, test.parquet and bad_files.csv."
        ),
    ],
    root: Root = None,
    download: Download = False,
    test_fraction: TestFraction = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=8,
            max=4096,
            metavar="N",
            help="Shrink larger images: N pixels for the shorter side.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail if an image cannot be used, instead of leaving it out."
        ),
    ] = False,
) -> None:
    """Turn any source of images into two Parquet files, checked image by image.

    SOURCE is one of

    - a folder with one sub-folder a class; or one with the folders `train` and `test` (or `val`) of
      that kind;

    - Parquet files with the columns `image` and `label`: a file, a pattern in quotes, or a folder
      with `train*.parquet` and `test*.parquet`, as Hugging Face has them; on disk, or an s3:// or
      gs:// address;

    - `torchvision:NAME`, a data set of torchvision, with `--root`;

    - `digits`, which come with this program.

    Where there are no test images, a share of each class becomes test data, by the content of the
    images: equal ones stay together. Files are stored as they are, only larger ones than
    `--image-size` are encoded anew. Rows are in the order of their labels, and each row group has
    one label. What cannot be used is left out and listed in bad_files.csv.

    All CPUs work. After Ctrl-C or a crash the same command goes on; when nothing has changed, it
    does nothing.

    Examples:
    `orchestrator data import photos --output data/photos`

    `orchestrator data import photos --output data/small --image-size 64 --test-fraction 0.1
    --strict`

    `orchestrator data import torchvision:CIFAR10 --root ~/torchvision --output data/cifar10`
    """
    from orchestrator.pipelines.data.importing import import_data
    from orchestrator.pipelines.data.sources import named_source
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.data import import_lines
    from orchestrator.terminal.image_progress import ImageProgress

    config = named_source(source, root, download, test_fraction)
    with closing(ImageProgress(new_console(stderr=True), "importing")) as progress:
        report = import_data(config, output, image_size, strict, progress)
    for line in import_lines(report):
        typer.echo(line)


@data.command()
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
) -> None:
    """Say what a data set holds: classes with counts, sizes, modes, fingerprint, and what is odd
    about it.

    Odd is: an image that cannot be decoded, a class folder without images, a class in test but not
    in training, the same image in training and in test or under two classes, a file name that comes
    twice. The fingerprint is the one that MLflow shows. Nothing is changed; every image is read
    once.

    Examples:
    `orchestrator data describe experiments/digits.yaml --sheet digits.png`

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
    if experiment is not None and (root is not None or download or test_fraction is not None):
        what = "--root, --download and --test-fraction are for a SOURCE; an experiment has its own"
        raise UserInputError(what, where=source, next_step="use --set data.root=DIR and the like")

    from orchestrator.pipelines.data.describe import describe_data
    from orchestrator.pipelines.data.sources import named_source
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.data import show_description
    from orchestrator.terminal.image_progress import ImageProgress

    config = (
        experiment.data
        if experiment
        else named_source(source, root, download, test_fraction, image_size)
    )
    with closing(ImageProgress(new_console(stderr=True), "reading")) as progress:
        description = describe_data(config, sheet, progress)
    show_description(description, new_console())
