"""What is computed once: the graph of stages, their keys, and the computation of each."""

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
