"""What is computed once: the graph of stages, their keys, and the computation of each."""

from orchestrator.stages.computation import compute_stage
from orchestrator.stages.graph import Role, Stage, stage_graph
from orchestrator.stages.model import Model
from orchestrator.stages.store import StageStore

__all__ = ["Model", "Role", "Stage", "StageStore", "compute_stage", "stage_graph"]
