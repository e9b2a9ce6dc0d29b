"""The times at which the files of a rejected candidate are tried again."""

from typing import Any

import pytest

from orchestrator.config import Retraining
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.retries import Attempt, next_attempt, tried_with
from orchestrator.retraining.scan import NewFile, Scan
from orchestrator.retraining.state import ModelPair, State

REJECTED = ModelPair("2", "2")
PLAN = ChangePlan((), new_classes=(2,))


def retraining(**changes: dict[str, Any]) -> Retraining:
    values: dict[str, Any] = {
        "experiment": {"name": "digits", "seed": 7},
        "source": {"path": "/nowhere"},
        "reactions": {"retry_after_seconds": 100, "max_retries": 2},
    }
    for section, content in changes.items():
        values[section] = values.get(section, {}) | content
    return Retraining.model_validate(values)


def arrived(*files: tuple[str, str]) -> Scan:
    """Return files that each have an image of one class."""
    return Scan(
        new=[NewFile(name, name * 64, 1, 0.0, {label: [b"digest"]}, True) for name, label in files]
    )


def attempt_after(
    num_rejections: int, found: Scan, now: float, configured: Retraining | None = None
) -> Attempt:
    """Return the next attempt, after that many candidates from one file were rejected at
    second 0.
    """
    state = State()
    for _ in range(num_rejections):
        attempt = next_attempt(state, arrived(("a", "2")), PLAN, retraining(), 1000.0)
        assert not attempt.waits
        state = State(tried=tried_with(attempt, REJECTED, 0.0))
    return next_attempt(state, found, PLAN, configured or retraining(), now)


def test_untried_files_are_learned_with_the_configured_seed() -> None:
    attempt = attempt_after(0, arrived(("a", "2")), 0.0)
    assert (attempt.waits, attempt.seeded(retraining().experiment).seed) == ("", 7)


@pytest.mark.parametrize("num_rejections", [1, 2])
def test_rejected_files_are_retried_with_the_next_seed_at_the_retry_time(
    num_rejections: int,
) -> None:
    waits = attempt_after(num_rejections, arrived(("a", "2")), 99.0).waits
    assert "version 2" in waits
    assert f"after 1970-01-01T00:01:40+00:00 with another seed ({num_rejections} of 2)" in waits
    attempt = attempt_after(num_rejections, arrived(("a", "2")), 100.0)
    assert not attempt.waits
    assert attempt.seeded(retraining().experiment).seed == 7 + num_rejections


def test_after_the_last_retry_only_new_files_trigger_another() -> None:
    waits = attempt_after(3, arrived(("a", "2")), 1e9).waits
    assert waits.endswith("is tried again when more files have arrived")


@pytest.mark.parametrize("num_rejections", [1, 3])
def test_a_new_file_of_the_classes_is_learned_at_once_with_the_configured_seed(
    num_rejections: int,
) -> None:
    attempt = attempt_after(num_rejections, arrived(("a", "2"), ("b", "2")), 0.0)
    assert (attempt.waits, attempt.num_retries) == ("", 0)


def test_a_new_file_of_other_classes_triggers_no_retry() -> None:
    assert attempt_after(1, arrived(("a", "2"), ("b", "0")), 0.0).waits


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": {"max_forgetting": 0.9}},
        {"experiment": {"seed": 8}},
        {"reactions": {"rejected_files": "retry"}},
    ],
    ids=["another gate", "another experiment", "all are tried on every tick"],
)
def test_a_changed_configuration_is_tried_at_once(changes: dict[str, Any]) -> None:
    attempt = attempt_after(3, arrived(("a", "2")), 0.0, retraining(**changes))
    assert (attempt.waits, attempt.num_retries) == ("", 0)


def test_without_a_retry_time_new_files_are_awaited() -> None:
    configured = retraining(reactions={"retry_after_seconds": None})
    assert (
        "when more files have arrived"
        in attempt_after(1, arrived(("a", "2")), 1e9, configured).waits
    )


def test_the_seed_after_the_largest_one_is_zero() -> None:
    experiment = retraining(experiment={"seed": 2**63 - 1}).experiment
    assert Attempt((), 1, "").seeded(experiment).seed == 0


def test_only_the_same_candidate_on_the_same_images_is_a_repetition() -> None:
    attempt = attempt_after(0, arrived(("a", "2")), 0.0)
    tried = tried_with(attempt, REJECTED, 0.0)
    assert attempt.repeats(tried)
    assert not attempt.repeats(None)
    assert not attempt_after(1, arrived(("a", "2")), 100.0).repeats(tried), "another seed"
    assert not attempt_after(1, arrived(("a", "2"), ("b", "2")), 0.0).repeats(tried)
