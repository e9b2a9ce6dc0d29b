"""`orchestrator export`: write a model as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.terminal.printable import say


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN_ID",
            help=(
                "A run's id or its first characters; or a registered model, as NAME@ALIAS or"
                " NAME/VERSION."
            ),
        ),
    ],
    kind: Annotated[
        Literal["onnx", "pt2"],
        typer.Option(
            "--format",
            help=(
                "onnx: runs anywhere, including phones, and needs the extra `export`; pt2: the"
                " format of PyTorch, needs no extra."
            ),
        ),
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The file to write. Default: out/exports/ROLE-RUN_ID.FORMAT."
        ),
    ] = None,
    role: Annotated[
        Literal["student", "teacher"] | None,
        typer.Option(
            help="The model to export. Default: the student of a run; for a registered model,"
            " its own role."
        ),
    ] = None,
    quantize: Annotated[
        bool,
        typer.Option(
            "--quantize",
            help="Store int8 weights: a quarter of the size. Calibrated on training images.",
        ),
    ] = False,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write a run's student to one file that works without this program.

    The exported model takes any number of images as uint8 pixels and returns logits. Scaling and
    normalisation are part of it; the metadata of the file holds class names, image size, run and
    experiment. The export fails if its outputs differ from the original's on the run's test images
    (or on random images, if the test images cannot be read). The command then shows parameters,
    size, time per image and accuracy next to the teacher's.

    ONNX needs `pip install '.[export]'` in the checkout.

    Examples:
    `orchestrator export 3f2a9c1e`

    `orchestrator export 3f2a9c1e --quantize --output phone.onnx`

    `orchestrator export digits-student@champion --format pt2 --output digits.pt2`
    """
    if kind == "onnx":
        from orchestrator.export.extras import require_onnx

        require_onnx()  # report errors before slow imports

    from orchestrator.pipelines.export.export import export as write_export
    from orchestrator.pipelines.export.outcome import ExportRequest
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.export import TerminalExportListener, loss_warning, show_export

    console = new_console()
    listener = TerminalExportListener(console)
    try:
        exported = write_export(
            ExportRequest(model, role, kind, quantize, output), tracking_uri, listener
        )
    finally:
        listener.close()
    if warning := loss_warning(exported):
        say(warning, err=True)
    show_export(exported, console)
