"""Implement `orchestrator approve` and `orchestrator reject`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.pipelines.retraining.decisions import Decision


def decide(
    file: Path, decision: Decision, version: int | None, reason: str, overrides: list[str] | None
) -> None:
    """Approve or reject a candidate of a retraining, and print the outcome."""
    from orchestrator.config import load_retraining

    retraining = load_retraining(file, overrides or [])

    from orchestrator.pipelines.retraining.decisions import decide as decide_candidate
    from orchestrator.terminal.listeners import show

    show(decide_candidate(retraining, decision, None if version is None else str(version), reason))
