"""Write to an MLflow store in tests, and read it back."""

import time
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.tracking import RunStatus
from orchestrator.tracking.mlflow.runs import Store
from orchestrator.tracking.outbox.entries import End, Points


def points(run: str, *steps: int, value: float | None = None) -> Points:
    return Points(
        run=run,
        time_ms=1_000,
        values=[("loss", step / 10 if value is None else value, step) for step in steps],
    )


def history(store: Store, run: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run, "loss")]


def status(store: Store, run: str) -> str:
    return str(store.client.get_run(run).info.status)


def ended(run: str, status: RunStatus = RunStatus.FINISHED) -> End:
    return End(run=run, status=status, reason="", ended_ms=time.time_ns() // 1_000_000)


def failing(
    monkeypatch: pytest.MonkeyPatch, call: str, *errors: Exception, also_acts: bool = False
) -> None:
    """Make the first calls fail with these errors; with `also_acts` a call reaches the store and
    only its answer is lost.
    """
    real, left = getattr(MlflowClient, call), list(errors)

    def fail_first(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
        if left and not also_acts:
            raise left.pop(0)
        answer = real(*arguments, **options)
        if left:
            raise left.pop(0)
        return answer

    monkeypatch.setattr(MlflowClient, call, fail_first)
