"""Events of stages survive a round trip through JSON."""

import json

import pytest

from orchestrator.stages.events import (
    EpochFinished,
    StageEvent,
    StageFinished,
    StageStarted,
    event_as_json,
    event_from_json,
)
from orchestrator.training.reports import EpochReport

EVENTS: list[StageEvent] = [
    StageStarted("teacher[0]"),
    EpochFinished("student[3]", EpochReport("student", 2, 40, {"loss": 0.1 + 0.2, "kdr": 1e-300})),
    EpochFinished("teacher[0]", EpochReport("embedding", 1, 1, {})),
    StageFinished("teacher[0]", 1.5, 2, cached=False),
    StageFinished("teacher[0]", 0.0, 1, cached=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_an_event_survives_a_round_trip_through_json(event: StageEvent) -> None:
    arrived = event_from_json(json.loads(json.dumps(event_as_json(event))))
    assert arrived == event
    assert type(arrived) is type(event)


def test_the_names_in_the_json_are_frozen() -> None:
    assert [event_as_json(event) for event in EVENTS[1::2]] == [
        {
            "event": "EpochFinished",
            "stage": "student[3]",
            "report": {
                "phase": "student",
                "epoch": 2,
                "num_epochs": 40,
                "metrics": {"loss": 0.30000000000000004, "kdr": 1e-300},
            },
        },
        {
            "event": "StageFinished",
            "stage": "teacher[0]",
            "seconds": 1.5,
            "num_train_workers": 2,
            "cached": False,
        },
    ]


def test_an_event_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError, match="StageForgotten"):
        event_from_json({"event": "StageForgotten", "stage": "teacher[0]"})
