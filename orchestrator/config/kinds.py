"""List the built-in kinds of each entry-point group."""

from __future__ import annotations

from typing import Any, get_args

from orchestrator.config.backbones import BuiltInBackboneConfig
from orchestrator.config.data import BuiltInDataConfig
from orchestrator.config.methods import BuiltInMethodConfig
from orchestrator.config.schema import variant_kinds
from orchestrator.config.transfer import BuiltInTransferConfig

_UNIONS: dict[str, Any] = {
    "orchestrator.methods": BuiltInMethodConfig,
    "orchestrator.backbones": BuiltInBackboneConfig,
    "orchestrator.image_sources": BuiltInDataConfig,
    "orchestrator.transfer_rules": BuiltInTransferConfig,
}


def built_in_kinds(group: str) -> set[str]:
    """Return the built-in kinds of a group, which an extension cannot use."""
    return set(variant_kinds(get_args(_UNIONS[group])[0]))
