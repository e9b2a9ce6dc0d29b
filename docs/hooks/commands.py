"""Write the reference of the command line from the program itself."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, cast, get_args

import typer.main
from typer.core import TyperArgument, TyperGroup

from orchestrator.cli.application import COMMANDS_BY_PURPOSE, build_application


def reference() -> str:
    """Return a section for each command, in the order of `orchestrator --help`."""
    group = typer.main.get_group(build_application())
    data = cast("TyperGroup", group.commands["data"])
    parts = []
    for purpose, commands in COMMANDS_BY_PURPOSE.items():
        parts.append(f"## {purpose}")
        parts += [_section(name, group.commands[name]) for name in commands]
        if purpose == data.rich_help_panel:
            parts += [_section(f"data {name}", each) for name, each in data.commands.items()]
    return "\n\n".join(parts)


def _section(name: str, command: Any) -> str:  # noqa: ANN401 - typer's classes have no public types
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    usage = [_placeholder(each) for each in shown if isinstance(each, TyperArgument)]
    parts = [
        f"### `orchestrator {name}` {{#{name.replace(' ', '-')}}}",
        f"```text\norchestrator {' '.join([name, *usage, '[OPTIONS]'])}\n```",
        cleandoc(command.help or "").replace("\b", "").strip(),
        *(_parameter(each) for each in shown),
    ]
    return "\n\n".join(parts)


def _placeholder(argument: TyperArgument) -> str:
    literals = [
        each for each in get_args(argument.type_descriptor.annotation) if isinstance(each, str)
    ]
    name = argument.metavar or "|".join(literals) or (argument.name or "").upper()
    return name if argument.required else f"[{name.strip('[]')}]"


def _parameter(parameter: Any) -> str:  # noqa: ANN401 - as above
    if isinstance(parameter, TyperArgument):
        term = f"`{_placeholder(parameter)}`"
    else:
        term = f"`{_option(parameter)}`"
    notes = [str(getattr(parameter, "help", "") or "").strip()]
    if parameter.required and not isinstance(parameter, TyperArgument):
        notes.append("Required.")
    if isinstance(parameter.envvar, str):
        notes.append(f"Environment variable: `{parameter.envvar}`.")
    default = parameter.default
    if isinstance(default, int | float | str) and not isinstance(default, bool) and default != "":
        notes.append(f"Default: `{default}`.")
    return f"{term}\n:   {' '.join(' '.join(notes).split())}"


def _option(option: Any) -> str:  # noqa: ANN401 - as above
    names = ", ".join([*option.opts, *option.secondary_opts])
    if getattr(option, "is_flag", False):
        return names
    choices = get_args(option.type_descriptor.annotation)
    literals = [each for each in choices if isinstance(each, str)]
    return f"{names} {option.metavar or '|'.join(literals) or (option.name or '').upper()}"
