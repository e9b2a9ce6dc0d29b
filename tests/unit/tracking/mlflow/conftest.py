"""A real store in a SQLite file, and shorter delays."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.tracking.mlflow.runs import Store, create_run, open_store
from orchestrator.tracking.preflight import prepare_mlflow
from tests.waiting import HANGING_SECONDS


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of one database for all tests: creating its schema takes some seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking store')}/mlflow.db"


@pytest.fixture(scope="session")
def store(uri: str) -> Store:
    prepare_mlflow()
    return open_store(uri, "an experiment")


@pytest.fixture
def run(store: Store) -> str:
    return create_run(store.client, store.experiment_id, {})


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], threading.Event]]:
    """Return a function that makes calls hang, like a server that accepts connections and never
    answers, until the returned event is set.
    """
    answers = threading.Event()

    def start(call: str) -> threading.Event:
        real = getattr(MlflowClient, call)

        def wait(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
            answers.wait(HANGING_SECONDS)
            return real(*arguments, **options)

        monkeypatch.setattr(MlflowClient, call, wait)
        return answers

    yield start
    answers.set()
