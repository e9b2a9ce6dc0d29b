"""The application with all commands. A new command is a file of this folder with one function, and
one entry in the lists below.
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

# By purpose and name, in the order of `orchestrator --help`: what people do first comes first.
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
    """Return the command line with every command of the lists above."""
    application = typer.Typer(
        name="orchestrator",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        help=(
            "Image classifiers that keep learning new classes: a continually taught teacher, and a"
            " smaller student distilled from it.\n\nStart with `orchestrator init`, then"
            " `orchestrator run experiments/digits.yaml`.\n\nExit codes: 0 done, 2 the input is"
            " wrong, 3 something is unreachable (try again), 1 a bug, 130 interrupted."
        ),
    )
    data = typer.Typer(
        no_args_is_help=True,
        help="Look at data sets, and turn them into files that every run reads fast.",
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
    version: Annotated[  # noqa: ARG001 - its callback has answered and ended the program
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    # no docstring: typer would show it in place of the application's help
    return
