"""Comparison methods: the same data, backbones, loop and budget as the project's own method."""

from orchestrator.baselines.learning import BaselineModel, learn_baseline_task

__all__ = ["BaselineModel", "learn_baseline_task"]
