"""Options and arguments that several commands have, and the one place where commands are put
together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="orchestrator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Image classifiers that keep learning new classes: a continually taught teacher, and a"
        " smaller student distilled from it.\n\nStart with `orchestrator run"
        " experiments/digits.yaml`.\n\nExit codes: 0 done, 2 the input is wrong, 3 something is"
        " unreachable (try again), 1 a bug, 130 interrupted."
    ),
)

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help=(
            "Override a value of the file, e.g. `--set teacher.training.epochs=10`. May be"
            " repeated."
        ),
    ),
]
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="The MLflow store."
    ),
]
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
