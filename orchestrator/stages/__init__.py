"""What is computed once: the graph of stages, their keys, and the computation of each."""

from orchestrator.stages.computation import Model, compute_stage
from orchestrator.stages.graph import Role, Stage, stage_graph

__all__ = ["Model", "Role", "Stage", "compute_stage", "stage_graph"]
