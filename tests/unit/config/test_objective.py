"""Metrics that a sweep may optimise, and the text of their weighted sum."""

import pytest

from orchestrator.config.objective import METRICS, metric_text, parse_bound, unit_of


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
def test_a_metric_is_written_as_a_weighted_sum(metric: str | dict[str, float], text: str) -> None:
    assert metric_text(metric) == text


def test_the_set_of_metrics_is_frozen() -> None:
    measures = ("last_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
    costs = ("num_parameters", "multiply_adds", "latency_ms", "bytes")
    of_roles = {f"{role}/{name}" for role in ("teacher", "student") for name in (*measures, *costs)}
    assert set(METRICS) == of_roles | {"worker_seconds"}


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("student/forgetting", "fraction"),
        ("0.5 * student/last_accuracy - 1 * student/forgetting", "fraction"),
        ("student/num_parameters", "count"),
        ("teacher/multiply_adds", "count"),
        ("student/latency_ms", "ms"),
        ("student/bytes", "bytes"),
        ("worker_seconds", "seconds"),
        ("1 * student/last_accuracy - 1e-07 * student/num_parameters", "mixed"),
        ("- 2 * worker_seconds", "mixed"),
        ("objective", "fraction"),
    ],
)
def test_a_metric_has_the_unit_of_its_quantity(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [("<= 100_000", 1e5, True), ("<1e5", 1e5, False), (" > -.5 ", 0, True), (">= 2", 1.9, False)],
)
def test_a_bound_compares_with_a_number(text: str, value: float, holds: bool) -> None:
    assert parse_bound(text).holds(value) is holds
