"""The replay of events: each is forwarded once, in order, and lost ones are restored from the
store.
"""

import logging
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.config.experiment import StoreConfig
from orchestrator.distributed.event_replay import EventReplay
from orchestrator.pipelines.run.execution import compute
from orchestrator.stages import Work, prepare_work
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished, StageStarted


@pytest.fixture(scope="module")
def work(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Work:
    store = StoreConfig(uri=str(tmp_path_factory.mktemp("store")))
    return prepare_work(tiny_experiment.model_copy(update={"store": store}))


@pytest.fixture(scope="module")
def events(work: Work, tmp_path_factory: pytest.TempPathFactory) -> list[StageEvent]:
    """Return the events of computing the work."""
    received: list[StageEvent] = []
    compute(work, received.append, tmp_path_factory.mktemp("log") / "ray.log")
    return received


@pytest.fixture
def empty(work: Work, tmp_path: Path) -> Work:
    """Return the same work with an empty store, as it is when the replay starts."""
    return prepare_work(
        work.experiment.model_copy(update={"store": StoreConfig(uri=str(tmp_path))})
    )


def passed_on(work: Work, sent: list[StageEvent]) -> list[StageEvent]:
    received: list[StageEvent] = []
    replay = EventReplay(work, received.append)
    for event in sent:
        replay(event)
    replay.finish()
    return received


def by_lane(of_both: list[StageEvent], role: str) -> list[StageEvent]:
    return [event for event in of_both if event.stage.startswith(role)]


def without_seconds(timed: list[StageEvent]) -> list[StageEvent]:
    return [
        StageFinished(e.stage, 0.0, e.num_train_workers, cached=False)
        if isinstance(e, StageFinished)
        else e
        for e in timed
    ]


def test_all_events_are_forwarded_as_they_come(work: Work, events: list[StageEvent]) -> None:
    assert passed_on(work, events) == events


def test_events_resent_by_a_restarted_worker_are_forwarded_once(
    work: Work, events: list[StageEvent], caplog: pytest.LogCaptureFixture
) -> None:
    middle = (
        next(index for index, event in enumerate(events) if isinstance(event, EpochFinished)) + 1
    )
    with caplog.at_level(logging.WARNING):
        assert passed_on(work, [*events[:middle], *events]) == events
    assert caplog.messages == [f"{events[0].stage}: its workers were restarted"]


def test_a_finished_stage_that_is_found_again_is_no_restart(
    work: Work, events: list[StageEvent], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert passed_on(work, [*events, *events]) == events
    assert caplog.messages == []


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_lost_end_of_a_stage_is_replayed_before_the_next_stage(
    work: Work, events: list[StageEvent], role: str
) -> None:
    lost = next(
        event
        for event in events
        if isinstance(event, StageFinished) and event.stage == f"{role}[0]"
    )
    received = passed_on(work, [event for event in events if event is not lost])
    assert without_seconds(by_lane(received, role)) == without_seconds(by_lane(events, role))


def test_when_all_events_are_lost_all_are_replayed(work: Work, events: list[StageEvent]) -> None:
    received = passed_on(work, [])
    for role in ("teacher", "student"):
        assert without_seconds(by_lane(received, role)) == without_seconds(by_lane(events, role))


def test_lost_stages_that_were_stored_before_are_replayed_as_cached(
    work: Work, events: list[StageEvent]
) -> None:
    assert events
    assert all(event.cached for event in passed_on(work, []) if isinstance(event, StageFinished))


def test_a_replay_is_empty_until_its_first_event(empty: Work) -> None:
    replay = EventReplay(empty, lambda _: None)
    assert replay.is_empty
    replay(StageStarted("teacher[0]"))
    assert not replay.is_empty
