"""The driver's account of the news: each event once, in order, and what was lost is read from the
store.
"""

import logging
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.config.experiment import StoreConfig
from orchestrator.distributed.account import Account
from orchestrator.pipelines.run.execution import compute
from orchestrator.stages import Work, prepare_work
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished, StageStarted


@pytest.fixture(scope="module")
def work(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Work:
    store = StoreConfig(uri=str(tmp_path_factory.mktemp("store")))
    return prepare_work(tiny_experiment.model_copy(update={"store": store}))


@pytest.fixture(scope="module")
def news(work: Work, tmp_path_factory: pytest.TempPathFactory) -> list[StageEvent]:
    """What really happens while the work is computed."""
    told: list[StageEvent] = []
    compute(work, told.append, tmp_path_factory.mktemp("log") / "ray.log")
    return told


@pytest.fixture
def empty(work: Work, tmp_path: Path) -> Work:
    """The same work, of which nothing is stored yet when the account is opened."""
    return prepare_work(
        work.experiment.model_copy(update={"store": StoreConfig(uri=str(tmp_path))})
    )


def told_of(work: Work, events: list[StageEvent], complete: bool = True) -> list[StageEvent]:
    told: list[StageEvent] = []
    account = Account(work, told.append)
    for event in events:
        account.take(event)
    if complete:
        account.complete()
    return told


def by_lane(events: list[StageEvent], role: str) -> list[StageEvent]:
    return [event for event in events if event.stage.startswith(role)]


def without_seconds(events: list[StageEvent]) -> list[StageEvent]:
    return [
        StageFinished(e.stage, 0.0, e.num_train_workers, cached=False)
        if isinstance(e, StageFinished)
        else e
        for e in events
    ]


def test_all_news_are_passed_on_as_they_come(work: Work, news: list[StageEvent]) -> None:
    assert told_of(work, news) == news


def test_what_a_restarted_worker_tells_again_is_told_once(
    work: Work, news: list[StageEvent], caplog: pytest.LogCaptureFixture
) -> None:
    middle = next(index for index, event in enumerate(news) if isinstance(event, EpochFinished)) + 1
    with caplog.at_level(logging.WARNING):
        assert told_of(work, [*news[:middle], *news]) == news
    assert caplog.messages == [f"{news[0].stage}: its workers were started again"]


def test_a_stage_that_is_finished_and_found_again_is_no_restart(
    work: Work, news: list[StageEvent], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert told_of(work, [*news, *news]) == news
    assert caplog.messages == []


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_lost_end_of_a_stage_is_told_from_the_store_before_the_next_stage(
    work: Work, news: list[StageEvent], role: str
) -> None:
    lost = next(
        event for event in news if isinstance(event, StageFinished) and event.stage == f"{role}[0]"
    )
    told = told_of(work, [event for event in news if event is not lost])
    assert without_seconds(by_lane(told, role)) == without_seconds(by_lane(news, role))


def test_when_all_news_are_lost_everything_is_told_from_the_store(
    work: Work, news: list[StageEvent]
) -> None:
    told = told_of(work, [])
    for role in ("teacher", "student"):
        assert without_seconds(by_lane(told, role)) == without_seconds(by_lane(news, role))


def test_lost_stages_that_were_stored_before_are_told_as_cached(
    work: Work, news: list[StageEvent]
) -> None:
    assert news
    assert all(event.cached for event in told_of(work, []) if isinstance(event, StageFinished))


def test_nothing_told_is_an_empty_account(empty: Work) -> None:
    account = Account(empty, lambda _: None)
    assert account.is_empty
    account.take(StageStarted("teacher[0]"))
    assert not account.is_empty
