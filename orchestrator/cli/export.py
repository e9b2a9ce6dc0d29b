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
                "A run's id or its first letters; or a registered model: NAME@ALIAS, NAME/VERSION."
            ),
        ),
    ],
    kind: Annotated[
        Literal["onnx", "pt2"],
        typer.Option(
            "--format",
            help="onnx: runs anywhere, also on a phone; pt2: torch's own, needs no extra.",
        ),
    ] = "onnx",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: out/exports/ROLE-RUN_ID.FORMAT.")
    ] = None,
    role: Annotated[
        Literal["student", "teacher"] | None,
        typer.Option(help="Whose model; by default the student, or what is registered."),
    ] = None,
    quantize: Annotated[
        bool,
        typer.Option(
            "--quantize", help="int8: a quarter of the size, calibrated on training images."
        ),
    ] = False,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write the student of a run as one file, to be used where this program is not.

    Images go in as uint8 pixels, any number at once; logits come out. Scaling and normalisation are
    inside; class names, image size, run and experiment are in the file's metadata. Before it is
    written, its outputs are compared with the original's on the run's test images (on random ones
    where those cannot be read), and it is refused if they differ. Shown beside the teacher:
    parameters, size, time of one image, accuracy.

    ONNX needs `pip install '.[export]'` in the checkout.

    Examples:
    `orchestrator export 3f2a9c1e`

    `orchestrator export 3f2a9c1e --quantize --output phone.onnx`

    `orchestrator export digits-student@champion --format pt2 --output digits.pt2`
    """
    if kind == "onnx":
        from orchestrator.export.extras import require_onnx

        require_onnx()  # before anything heavy is imported

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
