"""List the installed extensions: what each offers, from where, and whether it can be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from orchestrator.config.extensions import GROUPS, Installed, installed
from orchestrator.errors import ConfigError


@dataclass(frozen=True)
class PluginField:
    """A setting that an extension brings.

    Attributes:
        name: As in an experiment file.
        default: As JSON; None where it must be given.
        is_required: Whether it must be given.
        description: The extension's own sentence.
    """

    name: str
    default: Any
    is_required: bool
    description: str


@dataclass(frozen=True)
class Plugin:
    """An installed extension.

    Attributes:
        offered: Kind, group, distribution, version and place.
        format: Its format number, which is part of stage keys; None where it cannot be loaded.
        summary: First line of its configuration's docstring.
        fields: Its settings.
        problem: Why it cannot be loaded; empty for one that can.
    """

    offered: Installed
    format: int | None = None
    summary: str = ""
    fields: tuple[PluginField, ...] = ()
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.offered.kind,
            "offers": GROUPS[self.offered.group],
            "group": self.offered.group,
            "distribution": self.offered.distribution,
            "version": self.offered.version,
            "target": self.offered.target,
            "format": self.format,
            "summary": self.summary,
            "fields": [vars(field) for field in self.fields],
            "problem": self.problem,
        }


def list_plugins() -> list[Plugin]:
    """Return every installed extension, by group and kind. One that cannot be loaded says why.

    Raises:
        ConfigError: Two distributions offer the same kind.
    """
    return [
        _described(offered) for group in GROUPS for _, offered in sorted(installed(group).items())
    ]


def _described(offered: Installed) -> Plugin:
    try:
        loaded = offered.load()
    except ConfigError as error:
        return Plugin(offered, problem=error.what)
    config = loaded.config
    fields = tuple(
        PluginField(
            name,
            None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
            field.is_required(),
            field.description or "",
        )
        for name, field in config.model_fields.items()
        if name != "kind"
    )
    summary = (config.__doc__ or "").strip().split("\n")[0]
    return Plugin(offered, loaded.format, summary, fields)


def _plain(value: object) -> object:
    if value is PydanticUndefined:
        return None
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
