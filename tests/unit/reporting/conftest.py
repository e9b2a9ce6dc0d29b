"""Runs as values, constructed so that every number in a report can be worked out by hand."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.config import Experiment, flatten
from orchestrator.tracking import names
from orchestrator.tracking.tracked_run import TrackedRun

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEACHER = [[1.0], [0.9, 0.8]]
STUDENT = [[0.9], [0.7, 0.8]]


def summary_of(teacher: list[list[float]], student: list[list[float]]) -> dict[str, Any]:
    def of_role(matrix: list[list[float]], num_parameters: int) -> dict[str, Any]:
        means = [sum(row) / len(row) for row in matrix]
        return {
            "accuracy_matrix": matrix,
            "last_accuracy": means[-1],
            "average_incremental_accuracy": sum(means) / len(means),
            "forgetting": matrix[0][0] - matrix[-1][0],
            "num_parameters": num_parameters,
        }

    return {
        "tasks": [
            {"index": index, "classes": [f"class {index}a", f"class {index}b"]}
            for index in range(len(teacher))
        ],
        "teacher": of_role(teacher, 4000),
        "student": of_role(student, 1000),
        "agreement": [0.95] * len(teacher),
        "stages": [{"name": "teacher[0]", "key": "a" * 64, "cached": True, "seconds": 1.5}],
        "wall_seconds": 75.0,
        "worker_seconds": 60.0,
    }


@pytest.fixture
def new_run() -> Callable[..., TrackedRun]:
    """Return a function that makes a run whose id repeats one letter; settings by dotted path,
    other fields by name.
    """

    def make(
        letter: str = "a",
        settings: dict[str, str] | None = None,
        **fields: Any,  # noqa: ANN401
    ) -> TrackedRun:
        parameters = {**flatten(Experiment()), **(settings or {})}
        tags = {
            names.METHOD_TAG: parameters["method.kind"],
            names.SEED_TAG: parameters["seed"],
            names.DATASET_TAG: "digits",
            names.DATASET_FINGERPRINT_TAG: "f" * 64,
            **fields.pop("tags", {}),
        }
        values: dict[str, Any] = {
            "name": f"run {letter}",
            "experiment": "digits",
            "experiment_id": "1",
            "status": "FINISHED",
            "started": BEGAN,
            "ended": BEGAN + timedelta(seconds=75),
            "summary": summary_of(TEACHER, STUDENT),
            "environment": {"python": "3.11.9"},
            **fields,
        }
        return TrackedRun(run_id=letter * 32, parameters=parameters, tags=tags, **values)

    return make
