"""The due time of a tick, from the names that Kubernetes gives."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.cron import problem_with_cron
from orchestrator.cluster.ticks import Tick, tick_of
from orchestrator.errors import UserInputError

DUE = datetime(2025, 11, 14, 1, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("retrain-digits-29384756", "retrain-digits"),  # the Job of a CronJob
        (
            "retrain-digits-29384756-x7k2p",
            "retrain-digits",
        ),  # the RayCluster of a RayJob of a RayCronJob
        ("retrain-2-29384756", "retrain-2"),
        ("2025-11-14T01:56:00Z", ""),
        ("2025-11-14T02:56:00+01:00", ""),
        ("2025-11-14T01:56", ""),
    ],
)
def test_the_due_time_is_read_from_a_name_or_a_time(text: str, schedule: str) -> None:
    assert tick_of(text) == Tick(schedule, DUE)


@pytest.mark.parametrize("text", ["", "yesterday", "retrain-digits", "run-digits-0123456789"])
def test_anything_else_is_a_user_error(text: str) -> None:
    with pytest.raises(UserInputError, match="is not a time"):
        tick_of(text)


@given(st.integers(10**7, 10**8 - 1), st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z]", fullmatch=True))
def test_names_generated_by_kubernetes_are_read_back(minutes: int, name: str) -> None:
    assert tick_of(f"{name}-{minutes}") == Tick(name, datetime.fromtimestamp(60 * minutes, UTC))


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "*/15 * * * *",
        "0 0 1 jan,JUL *",
        "5/10 0-23/2 ? * MON-FRI",
        "@daily",
        "@every 1h30m",
        "59 23 31 12 6",
    ],
)
def test_schedules_that_kubernetes_accepts_are_accepted(schedule: str) -> None:
    assert list(problem_with_cron(schedule)) == []


@pytest.mark.parametrize(
    "schedule",
    [
        *(
            "",
            "0 3 * *",
            "0 3 * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
        ),
        *(
            "a * * * *",
            "* * * * monday",
            "TZ=UTC 0 3 * * *",
            "CRON_TZ=UTC 0 3 * * *",
            "@fortnightly",
            "@every soon",
            "-1 * * * *",
            "1,,2 * * * *",
        ),
    ],
)
def test_schedules_that_kubernetes_rejects_are_rejected(schedule: str) -> None:
    assert len(list(problem_with_cron(schedule))) == 1
