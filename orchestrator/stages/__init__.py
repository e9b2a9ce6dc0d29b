"""Compute each stage of an experiment once, and keep its result in a store under a content key. A
stage is the teacher's or the student's learning of one task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from orchestrator.methods.method import Model
    from orchestrator.stages.backbones import check_backbones
    from orchestrator.stages.claims import NO_CLAIMS, Claims
    from orchestrator.stages.graph import Stage, stage_graph
    from orchestrator.stages.preparation import Preparation, prepare_work
    from orchestrator.stages.runner import StageRunner
    from orchestrator.stages.store import StageStore
    from orchestrator.stages.work import Work
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.methods.method": ("Model",),
            "orchestrator.stages.backbones": ("check_backbones",),
            "orchestrator.stages.claims": ("NO_CLAIMS", "Claims"),
            "orchestrator.stages.graph": ("Stage", "stage_graph"),
            "orchestrator.stages.preparation": ("Preparation", "prepare_work"),
            "orchestrator.stages.runner": ("StageRunner",),
            "orchestrator.stages.store": ("StageStore",),
            "orchestrator.stages.work": ("Work",),
        },
    )
