"""Send log entries to MLflow in the order of logging: many in one request, and none twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import assert_never

from mlflow.entities import Metric, Param, Run
from mlflow.tracking import MlflowClient

from orchestrator.errors import OrchestratorError, TransientError, UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.datasets import log_datasets
from orchestrator.tracking.mlflow.model_delivery import deliver_model
from orchestrator.tracking.mlflow.runs import (
    MAX_TAG_CHARACTERS,
    RUNNING,
    Store,
    clipped,
    create_run,
    find_run_of_tag,
    open_store,
    read_earlier_log,
    reopen_run,
    run_tags,
)
from orchestrator.tracking.mlflow.saved_views import save_views
from orchestrator.tracking.outbox.delivery import Refused
from orchestrator.tracking.outbox.entries import (
    Begin,
    Datasets,
    End,
    Entry,
    File,
    Model,
    Parameters,
    Points,
    Resume,
    Tags,
    Views,
)
from orchestrator.tracking.outbox.spool import Destination
from orchestrator.tracking.preflight import check_reachable
from orchestrator.tracking.run_process import recorded_process, this_process
from orchestrator.tracking.tracker import MetricPoint

# Tags whose value is a run id, which may be a provisional id: see `MlflowDelivery.run_ids`.
_RUN_TAGS = (names.PARENT_RUN_TAG, names.SWEEP_TAG)

logger = logging.getLogger(__name__)


class MlflowDelivery:
    """Sends the log entries of one session to MLflow (see `outbox.delivery.Delivery`).

    In a session, one process logs to one run and to the run's children. A new child, and a run that
    is opened while the store is down, have a provisional id until MLflow creates them.

    Args:
        destination: The store and the experiment.
        run_ids: MLflow's run ids, by provisional id, of the session's runs that MLflow has already
            created.
        store: The opened store, or None to open the store on first use.

    Attributes:
        destination: The store and the experiment.
        run_ids: MLflow's run ids, by provisional id, including runs that this object creates.
        open_runs: MLflow's ids of the runs that have begun and not ended.
    """

    def __init__(
        self, destination: Destination, run_ids: Mapping[str, str], store: Store | None = None
    ) -> None:
        self.destination = destination
        self.run_ids = dict(run_ids)
        self._earlier: dict[str, EarlierLog] = {}
        self.open_runs: set[str] = set()
        self._ended: set[str] = set()
        if store is not None:
            self.store = store

    @cached_property
    def store(self) -> Store:
        """Return the store; open it on first use.

        Raises:
            UserInputError: The experiment is deleted, or the store refuses access.
            TrackingUnavailableError: The store does not answer.
        """
        # If the store is down, fail within seconds, because MLflow would retry for minutes.
        check_reachable(self.destination.uri)
        return open_store(self.destination.uri, self.destination.experiment)

    @property
    def is_connected(self) -> bool:
        """Return whether the store was ever reached."""
        return "store" in self.__dict__

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        """Send all entries, and return the entries that the store refuses permanently.

        Raises:
            TrackingUnavailableError: The store does not answer, or cannot be written.
            UserInputError: The store refuses access, or the server that answers is not MLflow.
        """
        try:
            self._send(entries)
            return []
        except (TransientError, UserInputError):
            raise
        except OrchestratorError:
            return [
                refused for entry in entries if (refused := self._send_alone(entry)) is not None
            ]

    def answers(self) -> bool:
        """Return whether the store answers now."""
        try:
            with mlflow_calls(self.destination.uri):
                self.store.client.get_experiment(self.store.experiment_id)
        except OrchestratorError:
            return False
        return True

    def beat(self) -> None:
        """Record for each open run that the run's process is alive.

        If another process has closed one of these runs as abandoned, set the run back to RUNNING.

        Raises:
            TrackingUnavailableError: The store does not answer.
            UserInputError: The store refuses access.
        """
        for run_id in sorted(self.open_runs):
            try:
                with mlflow_calls(self.destination.uri):
                    self._beat(run_id)
            except (TransientError, UserInputError):
                raise
            except (
                OrchestratorError
            ) as error:  # a deleted run must not stop the heartbeats of other runs
                logger.debug("the heartbeat of run %s was not sent: %s", run_id, error)

    def with_ids(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return tags with each provisional run id replaced by MLflow's id of the run."""
        return {
            key: self.id_of(value) if key in _RUN_TAGS else value for key, value in tags.items()
        }

    def id_of(self, run: str) -> str:
        """Return MLflow's id of a run, given MLflow's id or the provisional id that the run has
        until MLflow creates the run.
        """
        return self.run_ids.get(run, run)

    def _beat(self, run_id: str) -> None:
        client = self.store.client
        client.set_tag(run_id, names.HEARTBEAT_TAG, datetime.now(UTC).isoformat(timespec="seconds"))
        run = client.get_run(run_id)
        if run.info.status != RUNNING and recorded_process(run.data.tags) in (None, this_process()):
            _forget_reason(client, run)
            client.update_run(run_id, status=RUNNING)

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
                match entry:
                    case Parameters() | Points() | Tags():
                        self._add(entry, batches.setdefault(entry.run, _Batch()))
                    case _:
                        self._send_batch(entry.run, batches.pop(entry.run, _Batch()))
                        self._act(entry)
                if entry.run not in self._ended:
                    self.open_runs.add(self.id_of(entry.run))
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
        # MlflowClient splits batches that exceed MLflow's limits (100 parameters or tags, 1000
        # metrics a request).
        self.store.client.log_batch(
            self.id_of(run), metrics, parameters, run_tags(self.with_ids(batch.tags))
        )
        earlier.remember(news)

    def _act(self, entry: Begin | Resume | File | Model | Datasets | Views | End) -> None:
        client, run_id = self.store.client, self.id_of(entry.run)
        match entry:
            case Begin():
                self._begin(entry)
            case Resume():
                self._resume(entry)
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
        # Search for the run first: an earlier process may have created the run, and may have been
        # killed before it recorded the run's id.
        run_id = find_run_of_tag(
            self.store.client, [self.store.experiment_id], names.SPOOL_ID_TAG, entry.run
        )
        self.run_ids[entry.run] = run_id or create_run(
            self.store.client, self.store.experiment_id, tags, entry.started_ms
        )

    def _resume(self, entry: Resume) -> None:
        run = self.store.find_run(entry.run)
        self.run_ids[entry.run] = run_id = run.info.run_id
        self._ended.discard(entry.run)
        reopen_run(self.store.client, run, self.with_ids(entry.tags))
        self._earlier[entry.run] = read_earlier_log(self.store.client, run_id)

    def _end(self, client: MlflowClient, run_id: str, entry: End) -> None:
        self.open_runs.discard(run_id)
        self._ended.add(entry.run)
        run = client.get_run(run_id)
        driver = run.data.tags.get(names.PROCESS_STARTED_TAG, "")
        if entry.process and driver and driver != entry.process:
            # Another process resumed the run while this entry waited, so do not end the run.
            return
        if entry.reason:
            client.set_tag(
                run_id, names.STATUS_REASON_TAG, clipped(entry.reason, MAX_TAG_CHARACTERS)
            )
        else:
            _forget_reason(client, run)
        client.set_terminated(run_id, entry.status.value, entry.ended_ms)


@dataclass
class _Batch:
    """Values of one run that a single request logs."""

    parameters: dict[str, str] = field(default_factory=dict)
    points: list[MetricPoint] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def _forget_reason(client: MlflowClient, run: Run) -> None:
    """Remove the tag in which another process gave its reason for closing a run as abandoned."""
    if names.STATUS_REASON_TAG in run.data.tags:
        client.delete_tag(run.info.run_id, names.STATUS_REASON_TAG)


def _require(path: Path) -> None:
    if not path.exists():
        raise OrchestratorError("the spool's copy of a logged file is missing", str(path))
