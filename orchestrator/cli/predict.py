"""`orchestrator predict`: classify images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=(
                "A run's id or its first characters, for the run's student; a registered model, as"
                " models:/NAME@ALIAS or models:/NAME/VERSION; or an exported .onnx or .pt2 file."
            ),
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders (read recursively), or Parquet files with a column `image`.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv|FILE.json", help="The file to write. Default: CSV on standard output."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Also draw some images of each predicted class into this file."
        ),
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Classify images: print each image's most probable class and the probability of that class.

    Images of any size and colour mode are resized as in training. The probability is the softmax of
    the logits. It is not calibrated, so use it to rank images only. Images that cannot be decoded
    are named on standard error and skipped; if none can be decoded, the exit code is 2.

    Examples:
    `orchestrator predict 3f2a9c1e photo.jpg photos/`

    `orchestrator predict models:/digits-student@champion new.parquet --output new.csv`

    `orchestrator predict digits.onnx photos/ --output photos.json --sheet photos.png`
    """
    from orchestrator.pipelines.prediction.references import check_reference

    check_reference(model, tracking_uri)  # report errors before the slow import of torch

    from orchestrator.pipelines.prediction.predict import check_output
    from orchestrator.pipelines.prediction.predict import predict as predict_images
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.image_progress import ImageProgress
    from orchestrator.terminal.prediction import sheet_title, skipped_lines, summary_line

    if output is not None:
        check_output(output)
    if sheet is not None:
        from orchestrator.figures.sample_sheet import check_sheet

        check_sheet(sheet)
    console = new_console(stderr=True)
    progress = ImageProgress(console, "predicting")
    try:
        found = predict_images(
            model, images, tracking_uri, *([progress] if console.is_terminal else [])
        )
    finally:
        progress.close()
    for line in skipped_lines(found):
        typer.echo(line, err=True)
    if sheet is not None:
        from orchestrator.figures.sample_sheet import write_sample_sheet

        write_sample_sheet(found.shown, sheet_title(found), sheet)
    if output is None:
        typer.echo(found.as_csv(), nl=False)
        return
    from orchestrator.reporting.pages import write_text

    write_text(
        output, found.as_json() if output.suffix.lower() == ".json" else found.as_csv(), "file"
    )
    typer.echo(summary_line(found))
    typer.echo(output)
