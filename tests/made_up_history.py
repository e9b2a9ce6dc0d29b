"""A history as values, constructed so that every sentence about it can be worked out by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.reporting.history.facts import Delivery, GateCondition, History, Version
from orchestrator.retraining.class_accuracies import ClassAccuracies
from orchestrator.retraining.version_events import VersionEvent

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
OLD_ACCURACY = GateCondition(
    "student: accuracy on the champion's classes",
    "student_old_accuracy",
    0.9757,
    0.9502,
    0.9911,
    0.96,
    is_upper=False,
    verdict="met",
    num_images=160,
)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def new_version(
    number: int,
    days: float,
    state: str = "champion",
    **fields: Any,  # noqa: ANN401
) -> Version:
    """Return a version with `2 · number` classes, promoted by the gate at once.

    Args:
        number: Version number of the student.
        days: Days since registration.
        state: Current state.
        **fields: Fields that replace the defaults.
    """
    reason = fields.get("reason", "all 9 conditions are met")
    classes = [f"class {label}" for label in range(2 * number)]
    # every class has ten held-out images; for class n, 10 - n of them are correct
    right = [max(0, 10 - label) for label in range(len(classes))]
    values: dict[str, Any] = {
        "student": number,
        "teacher": number + 10,
        "registered": days_ago(days),
        "state": state,
        "reason": reason,
        "num_classes": len(classes),
        "accuracy": {"teacher": 0.99 - 0.01 * number, "student": 0.97 - 0.01 * number},
        "events": [VersionEvent(days_ago(days), state, reason)],
        "conditions": [OLD_ACCURACY],
        "classes": classes,
        "delivery": Delivery(1, dict.fromkeys(classes[-2:], 30), 0, classes[-2:], []),
        "class_accuracies": ClassAccuracies(
            [10] * len(classes), {"teacher": right, "student": right}
        ),
    }
    return Version(**values | fields)


def made_up_history() -> History:
    """Return two champions before the last 30 days, one within them, and then a rejected
    candidate.
    """
    versions = [
        new_version(1, 80, "retired", events=[VersionEvent(days_ago(80), "champion", "all met")]),
        new_version(2, 40, "previous", events=[VersionEvent(days_ago(40), "champion", "all met")]),
        new_version(3, 20),
        new_version(4, 5, "rejected", reason="student: forgetting 31.0 %, at most 20.0 %"),
    ]
    return History("digits", versions[2], versions, file="experiments/retraining_digits.yaml")
