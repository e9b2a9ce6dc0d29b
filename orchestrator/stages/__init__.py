"""Stages, each computed once: their graph, their keys, and their computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.methods.method import Model
    from orchestrator.stages.backbones import check_backbones
    from orchestrator.stages.claims import NO_CLAIMS, Claims
    from orchestrator.stages.graph import Stage, stage_graph
    from orchestrator.stages.preparation import Preparation, prepare_work
    from orchestrator.stages.runner import StageRunner
    from orchestrator.stages.store import StageStore
    from orchestrator.stages.work import Work

__all__ = [
    "NO_CLAIMS",
    "Claims",
    "Model",
    "Preparation",
    "Stage",
    "StageRunner",
    "StageStore",
    "Work",
    "check_backbones",
    "prepare_work",
    "stage_graph",
]

_HOMES = {
    "NO_CLAIMS": "orchestrator.stages.claims",
    "Claims": "orchestrator.stages.claims",
    "Model": "orchestrator.methods.method",
    "Preparation": "orchestrator.stages.preparation",
    "Stage": "orchestrator.stages.graph",
    "StageRunner": "orchestrator.stages.runner",
    "StageStore": "orchestrator.stages.store",
    "Work": "orchestrator.stages.work",
    "check_backbones": "orchestrator.stages.backbones",
    "prepare_work": "orchestrator.stages.preparation",
    "stage_graph": "orchestrator.stages.graph",
}


def __getattr__(name: str) -> object:
    """Import a name on first access: reading a store needs no torch, which loads slowly."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - at the top it would be an exported name

    return getattr(import_module(_HOMES[name]), name)
