"""`orchestrator data import`: convert a source of images to Parquet files."""

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
            metavar="SOURCE",
            help="A folder, Parquet files, torchvision:NAME, or digits; see above.",
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
            help="Shrink larger images until their shorter side has N pixels.",
        ),
    ] = None,
    max_image_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-image-pixels",
            min=1024,
            max=89_478_485,
            metavar="N",
            help=(
                "Skip images with more pixels (width x height); a small file can decode to an image"
                " that fills the memory."
            ),
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail on an unusable image instead of skipping it."),
    ] = False,
) -> None:
    """Convert a source of images to two Parquet files, and check every image.

    SOURCE is one of

    - a folder with one sub-folder per class, or with such folders in `train` and `test` (or `val`);

    - Parquet files with the columns `image` and `label`: a file, a quoted pattern, or a folder with
      `train*.parquet` and `test*.parquet` as on Hugging Face; on disk or at an s3:// or gs://
      address;

    - `torchvision:NAME`, a torchvision data set; `--root` names its folder;

    - `digits`, the small data set that comes with this program.

    If the source has no test images, a share of each class becomes test data. The split depends on
    the image content, so identical images end up on the same side. Image files are stored
    unchanged; only those larger than `--image-size` are re-encoded. Rows are sorted by label, and
    each row group holds one label. Unusable images are skipped and listed in bad_files.csv.

    The command uses all CPUs. After Ctrl-C or a crash the same command resumes; if nothing has
    changed since the last import, it does nothing.

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
