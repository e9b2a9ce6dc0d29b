"""The gate's bounds, its measures, the shift test, and how a promotion goes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrator.config.retraining import GateConfig
from orchestrator.retraining.gate import Measured, class_mean_accuracy, decide
from orchestrator.retraining.shift import shift_p_value

GOOD = Measured(
    old_accuracy={"teacher": 0.95, "student": 0.90},
    champion_accuracy={"teacher": 0.96, "student": 0.91},
    new_accuracy={"teacher": 0.9, "student": 0.8},
    forgetting={"teacher": 0.01, "student": 0.02},
    agreement=0.9,
    student_parameters=1000,
    student_latency_ms=1.0,
)
GATE = GateConfig(
    old_accuracy_tolerance=0.02, max_student_parameters=2000, max_student_latency_ms=2.0
)


def test_a_candidate_that_meets_all_bounds_is_promoted() -> None:
    decision = decide(GOOD, GATE)
    assert decision.promote
    assert decision.reason == "all 9 conditions are met"


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        (
            {"old_accuracy": {"teacher": 0.95, "student": 0.88}},
            "student: accuracy on the champion's classes (the champion's own is 0.91) 0.88",
        ),
        (
            {"new_accuracy": {"teacher": 0.4, "student": 0.8}},
            "teacher: accuracy on the new classes 0.4, at least 0.5",
        ),
        (
            {"forgetting": {"teacher": 0.01, "student": 0.21}},
            "student: forgetting 0.21, at most 0.2",
        ),
        ({"agreement": 0.49}, "agreement of student and teacher 0.49, at least 0.5"),
        ({"student_parameters": 2001}, "student: parameters 2,001, at most 2,000"),
        ({"student_latency_ms": 2.5}, "student: milliseconds for one image 2.5, at most 2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_bound_alone_rejects_and_says_why(worse: dict[str, object], said: str) -> None:
    decision = decide(replace(GOOD, **worse), GATE)  # type: ignore[arg-type]
    assert not decision.promote
    assert decision.reason.startswith(said)
    assert sum(not condition.is_met for condition in decision.conditions) == 1


def test_a_value_on_its_bound_is_met() -> None:
    on_bound = replace(
        GOOD, old_accuracy={"teacher": 0.96 - 0.02, "student": 0.91 - 0.02}, agreement=0.5
    )
    assert decide(on_bound, GATE).promote


def test_without_a_champion_nothing_is_compared_and_without_new_classes_none_asked_for() -> None:
    first = decide(replace(GOOD, old_accuracy={}, champion_accuracy={}), GateConfig())
    refreshed = decide(replace(GOOD, new_accuracy={}), GateConfig())
    assert not any("champion" in condition.name for condition in first.conditions)
    assert not any("new classes" in condition.name for condition in refreshed.conditions)


def test_every_class_weighs_the_same() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2)
    assert class_mean_accuracy(torch.zeros(10, dtype=torch.int64), labels) == 0.5


def test_the_shift_test_is_quiet_about_the_same_and_loud_about_the_different() -> None:
    """Of 100 pairs of equal distributions, at p = 0.01, some are called different (binomial: 1
    expected, 5 at most).
    """
    random = np.random.default_rng(0)
    false_alarms = sum(
        shift_p_value(random.normal(size=(200, 16)), random.normal(size=(50, 16))) < 0.01
        for _ in range(100)
    )
    assert false_alarms <= 5
    shifted = random.normal(size=(50, 32))
    shifted[:, 3] += 1.5
    assert shift_p_value(random.normal(size=(200, 32)), shifted) < 1e-4
