"""orchestrator plugins: list the installed extensions."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orchestrator.terminal.printable import say


def plugins(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON list instead, for programs.")
    ] = False,
) -> None:
    """List installed methods, backbones, image sources and transfer rules from other packages.

    A package offers them by entry points; in an experiment file they are a `kind` like the built-in
    ones. `examples/plugin` is a worked example with tests of its own.

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
