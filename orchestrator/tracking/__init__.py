"""Where a run's numbers go: the `Tracker` protocol, its doubles, and MLflow.

Importing this package does not import MLflow (some seconds): `open_run` does, when it is called.
"""

from orchestrator.tracking.in_memory_tracker import InMemoryTracker
from orchestrator.tracking.opening import open_run
from orchestrator.tracking.tracker import NullTracker, RunStatus, Tracker

__all__ = ["InMemoryTracker", "NullTracker", "RunStatus", "Tracker", "open_run"]
