"""Build the command-line application from all commands.

To add a command, write a file with one function in this folder, and add the function to
`COMMANDS_BY_PURPOSE`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Annotated

import typer

from orchestrator.cli.approve import approve
from orchestrator.cli.cancel import cancel
from orchestrator.cli.compare import compare
from orchestrator.cli.data_describe import describe
from orchestrator.cli.data_import import import_data
from orchestrator.cli.export import export
from orchestrator.cli.gc import gc
from orchestrator.cli.init import init
from orchestrator.cli.list import list_records
from orchestrator.cli.plan import plan
from orchestrator.cli.plugins import plugins
from orchestrator.cli.predict import predict
from orchestrator.cli.reconcile import reconcile
from orchestrator.cli.register import register
from orchestrator.cli.reject import reject
from orchestrator.cli.report import report
from orchestrator.cli.retrain import retrain
from orchestrator.cli.rollback import rollback
from orchestrator.cli.run import run
from orchestrator.cli.status import status
from orchestrator.cli.submit import submit
from orchestrator.cli.sweep import sweep
from orchestrator.cli.ui import ui
from orchestrator.cli.validate import validate

# Commands, grouped by purpose, in the order in which a new user needs them. `orchestrator --help`
# lists them in the same order.
COMMANDS_BY_PURPOSE: dict[str, dict[str, Callable[..., None]]] = {
    "Learn": {"init": init, "run": run, "validate": validate, "plan": plan, "sweep": sweep},
    "Look at results": {"list": list_records, "report": report, "compare": compare, "ui": ui},
    "Use a model": {"predict": predict, "export": export, "register": register},
    "Retrain on a schedule": {
        "retrain": retrain,
        "approve": approve,
        "reject": reject,
        "rollback": rollback,
    },
    "Run on Kubernetes": {"submit": submit, "status": status, "cancel": cancel},
    "Maintain": {"gc": gc, "reconcile": reconcile, "plugins": plugins},
}
COMMANDS = {
    name: command for group in COMMANDS_BY_PURPOSE.values() for name, command in group.items()
}
_PURPOSE_OF_DATA = "Learn"
DATA_COMMANDS: dict[str, Callable[..., None]] = {
    "import": import_data,
    "describe": describe,
}


def build_application() -> typer.Typer:
    """Return the command-line application with all commands of `COMMANDS` and `DATA_COMMANDS`."""
    application = typer.Typer(
        name="orchestrator",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        help=(
            "Image classifiers that keep learning new classes: a teacher that learns task by task,"
            " and a smaller student distilled from it.\n\nStart with `orchestrator init`, then"
            " `orchestrator run experiments/digits.yaml`.\n\nExit codes: 0 success, 1 a bug in this"
            " program, 2 invalid input, 3 a temporary failure such as an unreachable server (try"
            " again), 130 interrupted."
        ),
    )
    data = typer.Typer(
        no_args_is_help=True,
        help="Describe data sets, and convert images to Parquet files that load fast.",
    )
    for purpose, commands in COMMANDS_BY_PURPOSE.items():
        for name, command in commands.items():
            application.command(name, rich_help_panel=purpose)(command)
    for name, command in DATA_COMMANDS.items():
        data.command(name)(command)
    application.add_typer(data, name="data", rich_help_panel=_PURPOSE_OF_DATA)
    application.callback()(_orchestrator)
    return application


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"orchestrator {metadata.version('continual-orchestrator')}")
        raise typer.Exit


def _orchestrator(
    version: Annotated[  # noqa: ARG001 - its callback has printed it and ended the program
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    # no docstring, because typer would show it instead of the help of the application
    return
