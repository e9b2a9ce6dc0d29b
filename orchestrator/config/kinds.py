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
    """Return the kinds (the values of `kind`) of the built-in configurations in an entry-point
    group, such as `orchestrator.methods`. No extension can use any of these kinds.
    """
    return set(variant_kinds(get_args(_UNIONS[group])[0]))
