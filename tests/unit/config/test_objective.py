"""Metrics that a sweep may optimise, and how their sum is written."""

import pytest

from orchestrator.config.objective import METRICS, metric_text


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("student/forgetting", "student/forgetting"),
        (
            {"student/last_accuracy": 1.0, "student/forgetting": -0.5},
            "1 * student/last_accuracy - 0.5 * student/forgetting",
        ),
        (
            {"student/forgetting": -0.2, "teacher/last_accuracy": 2.0},
            "- 0.2 * student/forgetting + 2 * teacher/last_accuracy",
        ),
    ],
    ids=["name", "weights", "negative first"],
)
def test_what_is_made_best_is_told_as_a_sum(metric: str | dict[str, float], text: str) -> None:
    assert metric_text(metric) == text


def test_metrics_are_these() -> None:
    measures = ("last_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
    assert set(METRICS) == {
        f"{role}/{measure}" for role in ("teacher", "student") for measure in measures
    }
