"""List the installed extensions: their kinds, their packages, and whether they can be loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from orchestrator.config.extensions import GROUPS, Installed, offers
from orchestrator.config.kinds import built_in_kinds
from orchestrator.errors import ConfigError


@dataclass(frozen=True)
class PluginField:
    """Setting of an extension.

    Attributes:
        name: Name of the setting in an experiment file.
        default: Default of the setting as JSON; None if the setting is required.
        is_required: Whether the setting is required.
        description: The extension's description of the setting.
    """

    name: str
    default: Any
    is_required: bool
    description: str


@dataclass(frozen=True)
class Plugin:
    """Installed extension.

    Attributes:
        offered: Kind, group, distribution, version and entry point of the extension.
        format: The extension's format number, which is part of stage keys; None if the extension
            cannot be loaded.
        summary: First line of the docstring of the extension's configuration.
        fields: Settings of the extension.
        problem: Why the extension cannot be used; empty if it can.
    """

    offered: Installed
    format: int | None = None
    summary: str = ""
    fields: tuple[PluginField, ...] = ()
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the extension as JSON values."""
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
    """Return every installed extension, sorted by group and kind, including extensions that cannot
    be loaded.
    """
    return [
        _described(offered, offered_by_group)
        for group in GROUPS
        for offered_by_group in [sorted(offers(group), key=lambda it: it.kind)]
        for offered in offered_by_group
    ]


def _described(offered: Installed, others: Sequence[Installed]) -> Plugin:
    if any(it.kind == offered.kind and it.target != offered.target for it in others):
        return Plugin(offered, problem="another installed package offers the same kind")
    if offered.kind in built_in_kinds(offered.group):
        return Plugin(offered, problem="a built-in kind has this name and takes precedence")
    try:
        loaded = offered.load()
    except ConfigError as error:
        return Plugin(offered, problem=error.what)
    fields = tuple(
        PluginField(name, _default(field), field.is_required(), field.description or "")
        for name, field in loaded.config.model_fields.items()
        if name != "kind"
    )
    summary = (loaded.config.__doc__ or "").strip().split("\n")[0]
    return Plugin(offered, loaded.format, summary, fields)


def _default(field: FieldInfo) -> object:
    """Return a field's default as JSON values; None if the field is required or its default factory
    fails.
    """
    if field.is_required():
        return None
    try:
        return to_jsonable_python(field.get_default(call_default_factory=True), fallback=str)
    except Exception:  # noqa: BLE001 - the extension's own code
        return None
