"""Entries on their way into MLflow: in their order, many in one request, and never twice.

Sending again what the store has already changes nothing there: a point is known by its name, step and the time at which it was
logged, settings and tags by their value, a run that is created here by a tag. So after a failure everything is sent again of
which it is not certain that it arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import assert_never

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from orchestrator.errors import OrchestratorError, TransientError, UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.datasets import log_datasets
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog
from orchestrator.tracking.entries import Begin, Datasets, End, Entry, File, GoOn, Model, Parameters, Points, Tags, Views
from orchestrator.tracking.mlflow_calls import mlflow_calls
from orchestrator.tracking.mlflow_runs import Store, create_run, find_run_of_tag, open_store, read_earlier_log, reopen_run, run_tags
from orchestrator.tracking.model_delivery import deliver_model
from orchestrator.tracking.saved_views import save_views
from orchestrator.tracking.spool import Destination
from orchestrator.tracking.tracker import MetricPoint

# Tags that name a run, which the store may know by another id.
_RUN_TAGS = (names.PARENT_RUN_TAG, names.SWEEP_TAG)


@dataclass(frozen=True)
class Refused:
    """An entry that the store will never take, and why."""

    entry: Entry
    reason: str


class Delivery:
    """Sends the entries of one session; used by one thread at a time.

    Args:
        destination: The store and the experiment.
        run_ids: The store's ids of runs that were created here, by the id given out.
        store: The opened store; None to open it when it is first needed.

    Attributes:
        open_runs: Those that have begun and not ended, by the id given out.
    """

    def __init__(self, destination: Destination, run_ids: Mapping[str, str], store: Store | None = None) -> None:
        self.destination = destination
        self.run_ids = dict(run_ids)
        self._earlier: dict[str, EarlierLog] = {}
        self.open_runs: set[str] = set()
        if store is not None:
            self.store = store

    @cached_property
    def store(self) -> Store:
        """The store and the experiment in it.

        Raises:
            UserInputError: The experiment is deleted, or the store refuses access.
            TrackingUnavailableError: The store does not answer.
        """
        return open_store(self.destination.uri, self.destination.experiment)

    @property
    def is_connected(self) -> bool:
        """Whether the store was ever reached."""
        return "store" in self.__dict__

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Sends all, and returns those that the store refuses for ever.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: It refuses access, or something else answers in its place.
        """
        try:
            self._send(entries)
            return []
        except (TransientError, UserInputError):
            raise
        except OrchestratorError:
            return [refused for entry in entries if (refused := self._send_alone(entry)) is not None]

    def beat(self) -> None:
        """Says of every open run that its process lives.

        Raises:
            TrackingUnavailableError: The store does not answer.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with mlflow_calls(self.destination.uri):
            for run in sorted(self.open_runs):
                self.store.client.set_tag(self.id_of(run), names.HEARTBEAT_TAG, now)

    def reopen_runs(self) -> None:
        """Makes open runs RUNNING again: while the store was away, another process may have taken this one for dead.

        Raises:
            TrackingUnavailableError: The store does not answer.
        """
        with mlflow_calls(self.destination.uri):
            for run in sorted(self.open_runs):
                self.store.client.update_run(self.id_of(run), status="RUNNING")

    def with_ids(self, tags: Mapping[str, str]) -> dict[str, str]:
        """The tags, where they name runs by the store's own ids."""
        return {key: self.id_of(value) if key in _RUN_TAGS else value for key, value in tags.items()}

    def id_of(self, run: str) -> str:
        """The store's id of a run."""
        return self.run_ids.get(run, run)

    def _send_alone(self, entry: Entry) -> Refused | None:
        try:
            self._send([entry])
        except (TransientError, UserInputError):
            raise
        except OrchestratorError as error:
            return Refused(entry, str(error))
        return None

    def _send(self, entries: Sequence[Entry]) -> None:
        batches: dict[str, _Batch] = {}
        with mlflow_calls(self.destination.uri):
            for entry in entries:
                self.open_runs.add(entry.run)
                match entry:
                    case Parameters() | Points() | Tags():
                        self._add(entry, batches.setdefault(entry.run, _Batch()))
                    case _:
                        self._send_batch(entry.run, batches.pop(entry.run, _Batch()))
                        self._act(entry)
            for run, batch in batches.items():
                self._send_batch(run, batch)

    def _add(self, entry: Parameters | Points | Tags, batch: _Batch) -> None:
        match entry:
            case Parameters():
                batch.parameters.update(entry.values)
            case Points():
                batch.points += [MetricPoint(*value, entry.time_ms) for value in entry.values]
            case Tags():
                batch.tags.update(entry.values)
            case _:
                assert_never(entry)

    def _send_batch(self, run: str, batch: _Batch) -> None:
        earlier = self._earlier.get(run, NoEarlierLog())
        news = earlier.without_repeats(batch.points)
        metrics = [Metric(point.name, point.value, point.time_ms, point.step) for point in news]
        parameters = [Param(key, value) for key, value in batch.parameters.items()]
        # MlflowClient splits what exceeds MLflow's limits (100 parameters or tags, 1000 metrics a request).
        self.store.client.log_batch(self.id_of(run), metrics, parameters, run_tags(self.with_ids(batch.tags)))
        earlier.remember(news)

    def _act(self, entry: Begin | GoOn | File | Model | Datasets | Views | End) -> None:
        client, run_id = self.store.client, self.id_of(entry.run)
        match entry:
            case Begin():
                self._begin(entry)
            case GoOn():
                self._go_on(entry)
            case File():
                _require(entry.path)
                client.log_artifact(run_id, str(entry.path), entry.artifact_folder or None)
            case Model():
                _require(entry.folder)
                deliver_model(client, run_id, entry)
            case Datasets():
                log_datasets(client, run_id, entry.uses)
            case Views():
                save_views(client, self.store.experiment_id, entry.views)
            case End():
                self._end(client, run_id, entry)
            case _:
                assert_never(entry)

    def _begin(self, entry: Begin) -> None:
        tags = self.with_ids(entry.tags) | {names.SPOOL_ID_TAG: entry.run}
        # A delivery that was killed after this request has created the run already.
        run_id = find_run_of_tag(self.store.client, [self.store.experiment_id], names.SPOOL_ID_TAG, entry.run)
        self.run_ids[entry.run] = run_id or create_run(self.store.client, self.store.experiment_id, tags, entry.started_ms)

    def _go_on(self, entry: GoOn) -> None:
        run = self.store.find_run(entry.run)
        self.run_ids[entry.run] = run_id = run.info.run_id
        reopen_run(self.store.client, run, self.with_ids(entry.tags))
        self._earlier[entry.run] = read_earlier_log(self.store.client, run_id)

    def _end(self, client: MlflowClient, run_id: str, entry: End) -> None:
        if entry.reason:
            client.set_tag(run_id, names.STATUS_REASON_TAG, entry.reason)
        client.set_terminated(run_id, entry.status.value, entry.ended_ms)
        self.open_runs.discard(entry.run)
        self._earlier.pop(entry.run, None)


@dataclass
class _Batch:
    """What of one run goes into one request."""

    parameters: dict[str, str] = field(default_factory=dict)
    points: list[MetricPoint] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def _require(path: Path) -> None:
    if not path.exists():
        raise OrchestratorError("the copy that waited to be sent is gone", str(path))
