"""`orchestrator plugins`: list the installed extensions."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orchestrator.terminal.printable import say


def plugins(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON list, for scripts.")
    ] = False,
) -> None:
    """List the methods, backbones, image sources and transfer rules that other packages add.

    A package registers them as entry points; experiment files select them by `kind`, like the
    built-in ones. `examples/plugin` is a complete example with tests.

    Example:
    `orchestrator plugins`
    """
    from orchestrator.pipelines.plugins.list_plugins import list_plugins

    found = list_plugins()
    if as_json:
        say(json.dumps([plugin.as_json() for plugin in found], indent=2))
        return
    from orchestrator.terminal.plugins import plugin_lines

    for line in plugin_lines(found):
        say(line)
