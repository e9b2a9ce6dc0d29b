"""Every built-in method, with settings that make it small enough for tests."""

from __future__ import annotations

from typing import Any

from orchestrator.config.methods import BuiltInMethodConfig
from orchestrator.config.schema import variant_kinds

METHODS: tuple[str, ...] = tuple(variant_kinds(BuiltInMethodConfig))
COMPARISON_METHODS = tuple(kind for kind in METHODS if kind != "dual_teacher")
_SMALL: dict[str, dict[str, Any]] = {"ranpac": {"num_projections": 30}}


def small(kind: str) -> dict[str, Any]:
    """Return the `method` of an experiment."""
    return {"kind": kind, **_SMALL.get(kind, {})}
