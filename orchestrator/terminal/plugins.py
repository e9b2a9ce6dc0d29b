"""Show the installed extensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.config.extensions import GROUPS
from orchestrator.pipelines.plugins.list_plugins import Plugin


def plugin_lines(plugins: Sequence[Plugin]) -> Iterator[str]:
    """Yield lines about each installed extension: name, package, and the settings that a user can
    configure.
    """
    if not plugins:
        yield "no extensions are installed"
        yield f"entry-point groups: {', '.join(GROUPS)}; examples/plugin is a complete example"
        return
    for plugin in plugins:
        offered = plugin.offered
        yield (
            f"{GROUPS[offered.group]} {offered.kind}: {offered.distribution} {offered.version}"
            f" ({offered.target})"
        )
        if plugin.problem:
            yield f"  cannot be used: {plugin.problem}"
            continue
        yield f"  {plugin.summary}" if plugin.summary else f"  format {plugin.format}"
        for field in plugin.fields:
            default = "required" if field.is_required else f"default {field.default}"
            yield f"  {field.name} ({default}): {field.description}"
