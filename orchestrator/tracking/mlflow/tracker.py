"""Log to a run in MLflow, through the outbox.

The outbox is a queue of log entries: it keeps the entries on disk, and sends them from a thread.

Each run is addressed by its id, and not through MLflow's active run or global tracking URI. One
process can therefore log to several runs at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.tracking import MlflowClient

from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog
from orchestrator.tracking.mlflow.runs import MAX_PARAMETER_CHARACTERS, clipped
from orchestrator.tracking.mlflow.saved_views import view_url
from orchestrator.tracking.mlflow.session import Session, now_ms
from orchestrator.tracking.outbox.entries import (
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
from orchestrator.tracking.run_process import this_process
from orchestrator.tracking.tracker import DatasetUse, Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.views.view import View

# Longest time in seconds for which `close` waits without progress, by the run's final status. The
# next command sends the log entries that the store still lacks.
PATIENCE_SECONDS = {RunStatus.FINISHED: 60.0, RunStatus.FAILED: 10.0, RunStatus.KILLED: 3.0}


class MlflowTracker:
    """Logs to one run of an MLflow store, through a session that the run shares with its children.

    Args:
        session: Session that takes the log entries of the run.
        run_id: Id of an open run, or provisional id of a run that the outbox will create.
        parent_run_id: Id of the parent run; empty if there is none.
        earlier: What a resumed run had logged before; None for a new run, and for a run that is
            resumed while the store does not answer.
        is_alone: Whether closing this run also closes the session's outbox; False for a child.
    """

    def __init__(
        self,
        session: Session,
        run_id: str,
        parent_run_id: str = "",
        earlier: EarlierLog | None = None,
        *,
        is_alone: bool = True,
    ) -> None:
        self._session = session
        self._lifetime = Lifetime(run_id, parent_run_id)
        self._earlier = earlier or NoEarlierLog()
        self._is_alone = is_alone

    @property
    def run_id(self) -> str:
        """Return MLflow's id of the run. If the run was opened while the store was down, return its
        provisional id, which is the value of its tag `names.SPOOL_ID_TAG`.
        """
        return self._lifetime.run_id

    @property
    def client(self) -> MlflowClient:
        """Return the store's client; raise `TrackingUnavailableError` if the store was never
        reached, and does not answer now.
        """
        return self._session.delivery.store.client

    @property
    def experiment_id(self) -> str:
        """Return MLflow's id of the run's experiment; raise `TrackingUnavailableError` if the store
        was never reached, and does not answer now.
        """
        return self._session.delivery.store.experiment_id

    @property
    def uri(self) -> str:
        """Return the store's URI."""
        return self._session.delivery.destination.uri

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Log parameters (settings) of the run; a parameter that is logged again must have the same
        value.
        """
        kept = {key: clipped(value, MAX_PARAMETER_CHARACTERS) for key, value in parameters.items()}
        self._lifetime.require_open()
        self._earlier.require_same(kept)
        self._put(Parameters(run=self.run_id, values=kept))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log values of metrics that belong to one step."""
        self.log_points([MetricPoint(name, value, step) for name, value in metrics.items()])

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Log metric points, which may have different steps."""
        values = [(point.name, float(point.value), point.step) for point in points]
        self._put(Points(run=self.run_id, time_ms=now_ms(), values=values))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags of the run."""
        self._put(Tags(run=self.run_id, values=dict(tags)))

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Log a copy of a file as an artifact of the run."""
        self._lifetime.require_open()
        self._put(
            File(
                run=self.run_id,
                path=self._session.outbox.copied(path),
                artifact_folder=artifact_folder,
            )
        )

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Log a packaged model, as one of MLflow's logged models."""
        self._lifetime.require_open()
        self._put(
            Model(
                run=self.run_id,
                folder=self._session.outbox.copied(folder),
                name=name,
                registered_name=registered_name,
            )
        )

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Record the data that the run learns from and is tested on."""
        self._put(Datasets(run=self.run_id, uses=list(uses)))

    def save_views(self, views: Sequence[View]) -> None:
        """Add saved views to MLflow's page of the run's experiment."""
        self._put(Views(run=self.run_id, views=list(views)))

    def view_url(self, view: View) -> str:
        """Return the URL of a saved view's page; empty if the store was never reached."""
        if not self._session.delivery.is_connected:
            return ""
        return view_url(self.uri, self.experiment_id, view.id)

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> MlflowTracker:
        """Open a new child in the same experiment, or resume an existing child of this run."""
        all_tags = self._session.opening_tags | self._lifetime.child_tags(run_name, tags)
        if run_id is None:
            return self._child(self._session.begin_child(all_tags))
        earlier = self._session.earlier_log_of_child(run_id, self.run_id)
        self._put(Resume(run=run_id, tags=all_tags))
        return self._child(run_id, earlier)

    def flush(self, patience_seconds: float = PATIENCE_SECONDS[RunStatus.FINISHED]) -> bool:
        """Wait until the store has all log entries; return False after `patience_seconds` without
        progress.
        """
        return self._session.outbox.flush(patience_seconds)

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run with a final status and the reason for this status.

        If the run is not a child, this method waits until the store has all log entries. Entries
        that cannot be sent in time stay in the spool.

        Raises:
            TrackingUnavailableError: Entries are lost, because they were neither sent to the store
                nor written to the disk.
        """
        ended_ms = now_ms()
        if not self._lifetime.end(status):
            return
        self._session.outbox.put(
            End(
                run=self.run_id,
                process=_process_tag(),
                status=status,
                reason=reason,
                ended_ms=ended_ms,
            )
        )
        if self._is_alone:
            self._session.outbox.close(PATIENCE_SECONDS[status])

    def _put(self, entry: Entry) -> None:
        self._lifetime.require_open()
        self._session.outbox.put(entry)

    def _child(self, run_id: str, earlier: EarlierLog | None = None) -> MlflowTracker:
        return MlflowTracker(self._session, run_id, self.run_id, earlier, is_alone=False)


def _process_tag() -> str:
    process = this_process()
    return process.tags()[names.PROCESS_STARTED_TAG] if process else ""
