"""Choose the listener that shows a run, a sweep or a tick of a retraining: a listener that writes
JSON lines in a pod, otherwise a listener that prints for a person.
"""

from __future__ import annotations

from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.terminal.console import new_console
from orchestrator.terminal.json_listeners import (
    JsonRunListener,
    JsonSweepListener,
    JsonTickListener,
)
from orchestrator.terminal.lines import is_read_by_programs
from orchestrator.terminal.retraining import TickListener, show_outcome
from orchestrator.terminal.run import TerminalRunListener
from orchestrator.terminal.sweep import TerminalSweepListener


def run_listener() -> TerminalRunListener | JsonRunListener:
    """Return the listener that shows a run."""
    return JsonRunListener() if is_read_by_programs() else TerminalRunListener(new_console())


def sweep_listener(tracking_uri: str) -> TerminalSweepListener | JsonSweepListener:
    """Return the listener that shows a sweep.

    Args:
        tracking_uri: Address of the MLflow store that has the sweep's pages.
    """
    return (
        JsonSweepListener(tracking_uri)
        if is_read_by_programs()
        else TerminalSweepListener(new_console(), tracking_uri)
    )


def tick_listener() -> TickListener | JsonTickListener:
    """Return the listener that shows the training in one tick (check for new files) of a
    retraining.
    """
    return JsonTickListener() if is_read_by_programs() else TickListener(new_console())


def show(outcome: RetrainingOutcome) -> None:
    """Show the outcome of one tick (check for new files) of a retraining."""
    if is_read_by_programs():
        JsonTickListener().show_outcome(outcome)
    else:
        show_outcome(outcome, new_console())
