"""`orchestrator data import`: turn a source of images into Parquet files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Download, Root, TestFraction
from orchestrator.terminal.printable import say


def import_data(  # noqa: PLR0913, PLR0917 - the command's options
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
    max_image_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-image-pixels",
            min=1024,
            max=89_478_485,
            metavar="N",
            help="Skip images of more pixels (width x height): they may be made to fill memory.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail if an image cannot be used, instead of skipping it."),
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
    one label. Images that cannot be used are skipped and listed in bad_files.csv.

    All CPUs work. After Ctrl-C or a crash the same command resumes; when nothing has changed, it
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
    from orchestrator.terminal.data_import import import_lines
    from orchestrator.terminal.image_progress import ImageProgress

    config = named_source(source, root, download, test_fraction)
    if max_image_pixels is not None:
        config = config.model_copy(update={"max_image_pixels": max_image_pixels})
    with closing(ImageProgress(new_console(stderr=True), "importing")) as progress:
        report = import_data(config, output, image_size, strict, progress)
    for line in import_lines(report):
        say(line)
