"""Close a tracked run with the status that tells how the run ended: finished, killed or failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import InterruptedRunError, OrchestratorError
from orchestrator.masking import masked
from orchestrator.tracking import RunStatus, Tracker

_SAMPLE_SECONDS = 10.0

logger = logging.getLogger(__name__)


@contextmanager
def closed_truthfully(tracker: Tracker) -> Iterator[None]:
    """Close the tracked run when the `with` block ends: as FINISHED, as KILLED after an
    interruption, or as FAILED with the reason after any other error.

    Raises:
        InterruptedRunError: Ctrl-C was pressed, or a termination signal arrived.
    """
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError) as interruption:
        reason = str(interruption) or "interrupted"
        close_after_failure(tracker, RunStatus.KILLED, reason)
        raise InterruptedRunError(f"{reason}; run {tracker.run_id} is closed as KILLED") from None
    except OrchestratorError as error:
        close_after_failure(tracker, RunStatus.FAILED, str(error))
        raise
    except BaseException as error:
        close_after_failure(tracker, RunStatus.FAILED, f"{type(error).__name__}: {error}")
        raise
    tracker.close(RunStatus.FINISHED)


@contextmanager
def machine_watched(tracker: Tracker, tracking: TrackingConfig) -> Iterator[None]:
    """Log this machine's system metrics while the `with` block runs, if `system_metrics` is set."""
    if not tracking.system_metrics:
        yield
        return
    from orchestrator.tracking.mlflow.system_metrics import system_metrics  # noqa: PLC0415 - loads MLflow

    with system_metrics(tracker.log_metrics, _SAMPLE_SECONDS):
        yield


def close_after_failure(tracker: Tracker, status: RunStatus, reason: str) -> None:
    """Close a failed run. If closing fails too, only log a warning, because the run's own error is
    more important.
    """
    try:
        tracker.close(status, masked(reason))
    except OrchestratorError as error:
        logger.warning("run %s could not be closed as %s: %s", tracker.run_id, status, error)
