"""A run in MLflow, by its explicit id: no active run, no global tracking URI, so many runs fit in
one process.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.errors import OrchestratorError, StorageUnavailableError, TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog, not_a_child
from orchestrator.tracking.entries import (
    Begin,
    Datasets,
    End,
    Entry,
    File,
    GoOn,
    Model,
    Parameters,
    Points,
    Tags,
    Views,
)
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.delivery import Delivery
from orchestrator.tracking.mlflow.reconciliation import close_abandoned_runs, deliver_left_behind
from orchestrator.tracking.mlflow.runs import (
    MAX_PARAMETER_CHARACTERS,
    Store,
    clipped,
    connect,
    create_run,
    find_run,
    find_run_of_experiment,
    open_store,
    reopen_run,
)
from orchestrator.tracking.mlflow.saved_views import view_url
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.provenance import provenance_tags
from orchestrator.tracking.run_process import this_process
from orchestrator.tracking.spool import Destination, Spool
from orchestrator.tracking.tracker import DatasetUse, Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.views.view import View

# How long opening a child may wait for what was logged before and for MLflow's id of it.
OPENING_SECONDS = 5.0
# How long nothing may move at the end of a run before what waits is left to the next command.
# Whoever interrupts a run waits less.
PATIENCE_SECONDS = {RunStatus.FINISHED: 60.0, RunStatus.FAILED: 10.0, RunStatus.KILLED: 3.0}

logger = logging.getLogger(__name__)


class MlflowTracker:
    """Writes to one run of an MLflow store, through the outbox that it shares with its children.

    Args:
        outbox: Takes what is logged.
        run_id: An open run, or one that the outbox will create.
        parent_run_id: The run below which this one is; empty when there is none.
        earlier: What the run held when it was gone on with.
        is_alone: Whether the outbox is closed with this run; it is not with a child's.
    """

    def __init__(
        self,
        outbox: Outbox,
        run_id: str,
        parent_run_id: str = "",
        earlier: EarlierLog | None = None,
        *,
        is_alone: bool = True,
    ) -> None:
        self._outbox = outbox
        self._delivery = outbox.delivery
        self._lifetime = Lifetime(run_id, parent_run_id)
        self._earlier = earlier or NoEarlierLog()
        self._is_alone = is_alone

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; for one that was opened while the store was away, the value of
        its tag `names.SPOOL_ID_TAG`.
        """
        return self._lifetime.run_id

    @property
    def client(self) -> MlflowClient:
        """Bound to the store; raises `TrackingUnavailableError` while it was never reached."""
        return self._delivery.store.client

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment; raises `TrackingUnavailableError` while the store was
        never reached.
        """
        return self._delivery.store.experiment_id

    @property
    def uri(self) -> str:
        """The store's URI."""
        return self._delivery.destination.uri

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep settings; a key may be logged again only with the same value."""
        kept = {key: clipped(value, MAX_PARAMETER_CHARACTERS) for key, value in parameters.items()}
        self._lifetime.require_open()
        self._earlier.require_same(kept)
        self._put(Parameters(run=self.run_id, values=kept))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep values that belong to one step."""
        self.log_points([MetricPoint(name, value, step) for name, value in metrics.items()])

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Keep values of any steps."""
        values = [(point.name, float(point.value), point.step) for point in points]
        self._put(Points(run=self.run_id, time_ms=_milliseconds(), values=values))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._put(Tags(run=self.run_id, values=dict(tags)))

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Copy a file to the run's artifacts."""
        self._lifetime.require_open()
        self._put(
            File(run=self.run_id, path=self._outbox.copied(path), artifact_folder=artifact_folder)
        )

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Keep a packaged model, as one of MLflow's logged models."""
        self._lifetime.require_open()
        self._put(
            Model(
                run=self.run_id,
                folder=self._outbox.copied(folder),
                name=name,
                registered_name=registered_name,
            )
        )

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Keep which data the run learns from and is tested on."""
        self._put(Datasets(run=self.run_id, uses=list(uses)))

    def save_views(self, views: Sequence[View]) -> None:
        """Offer comparisons on the experiment's page."""
        self._put(Views(run=self.run_id, views=list(views)))

    def view_url(self, view: View) -> str:
        """The page that shows a saved view; empty while the store was never reached."""
        return (
            view_url(self.uri, self.experiment_id, view.id) if self._delivery.is_connected else ""
        )

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> "MlflowTracker":
        """Open a child in the same experiment, new or one that this run has."""
        all_tags = self._opening_tags | self._lifetime.child_tags(run_name, tags)
        if run_id is None:
            return self._child(self._new_run(all_tags))
        earlier = self._require_child(run_id)
        self._put(GoOn(run=run_id, tags=all_tags))
        return self._child(run_id, earlier)

    def flush(self, patience_seconds: float = PATIENCE_SECONDS[RunStatus.FINISHED]) -> bool:
        """Waits until the store has what was logged; False when it does not answer for so long."""
        return self._outbox.flush(patience_seconds)

    def close(self, status: RunStatus, reason: str = "") -> None:
        """Give the run its final status and the reason. A run that is no child waits until the
        store has everything, or does not answer.

        Raises:
            TrackingUnavailableError: Numbers are lost, as neither the store nor the disk took them.
        """
        ended_ms = _milliseconds()
        if not self._lifetime.end(status):
            return
        self._outbox.put(
            End(
                run=self.run_id,
                process=_process_tag(),
                status=status,
                reason=reason,
                ended_ms=ended_ms,
            )
        )
        if self._is_alone:
            self._outbox.close(PATIENCE_SECONDS[status])

    def _put(self, entry: Entry) -> None:
        self._lifetime.require_open()
        self._outbox.put(entry)

    @cached_property
    def _opening_tags(self) -> dict[str, str]:
        # Once for all children: they run the code that this process has loaded, whatever becomes of
        # the checkout.
        return opening_tags()

    def _new_run(self, tags: dict[str, str]) -> str:
        is_failing = self._outbox.is_failing
        run_id = begin_later(self._outbox, tags)
        if not is_failing:
            self._outbox.flush(
                OPENING_SECONDS, numbers_only=True
            )  # a store that hangs does not keep the learning waiting for longer
        return self._delivery.id_of(run_id)

    def _require_child(self, run_id: str) -> EarlierLog:
        """What a child of this run holds, as far as the store can be asked."""
        if self._outbox.is_failing:
            return NoEarlierLog()
        try:
            with mlflow_calls(self.uri):
                child = find_run(self.client, self.uri, run_id)
        except TrackingUnavailableError:
            return NoEarlierLog()
        parent = child.data.tags.get(names.PARENT_RUN_TAG)
        if parent not in (self.run_id, self._delivery.id_of(self.run_id)):
            raise not_a_child(run_id, self.run_id)
        return EarlierLog(run_id, child.data.params, ())

    def _child(self, run_id: str, earlier: EarlierLog | None = None) -> "MlflowTracker":
        return MlflowTracker(self._outbox, run_id, self.run_id, earlier, is_alone=False)


def start_run(
    destination: Destination, spool_dir: Path, tags: Mapping[str, str], run_id: str | None = None
) -> MlflowTracker:
    """Open a run, new or by its id, and before it what is missing: schema and experiment (see
    `opening.open_run`).

    What earlier processes of this machine left is put in order: what waits in the spool is sent,
    runs whose process is gone are closed.

    Args:
        destination: Its URI is supported, absolute and reachable.
        spool_dir: Where sessions keep what waits.
        tags: Of the run, `names.RUN_NAME_TAG` among them; they win over what is found out here.
        run_id: The run to go on with; None for a new one.

    Raises:
        UserInputError: As `opening.open_run`.
        StorageUnavailableError: The spool cannot be written.
        TrackingUnavailableError: As `opening.open_run`.
    """
    uri, all_tags = destination.uri, opening_tags() | dict(tags)
    # First: the run to go on with may be among those that wait.
    for left in deliver_left_behind(spool_dir, uri):
        if left.error is not None:
            logger.warning(
                "what an earlier run left could not be sent: %s; delete %s to give it up",
                left.error,
                left.folder,
            )
        elif left.num_refused:
            logger.warning(
                "the store refused %d entries that an earlier run left; which and why is in %s",
                left.num_refused,
                left.folder,
            )
    with mlflow_calls(uri):
        # Looked for before the experiment is made: a wrong run id leaves no empty experiment
        # behind.
        earlier = None if run_id is None else _existing_run(destination, run_id)
        store = open_store(uri, destination.experiment)
        _tidy_up(store)
        if earlier is not None:
            reopen_run(store.client, earlier, all_tags)
        new_run_id = (
            earlier.info.run_id
            if earlier
            else create_run(store.client, store.experiment_id, all_tags)
        )
    outbox = Outbox(
        _begin_spool(spool_dir, new_run_id, store, destination), Delivery(destination, {}, store)
    )
    if earlier is None:
        return MlflowTracker(outbox, new_run_id)
    outbox.put(GoOn(run=new_run_id, tags=all_tags))
    parent_run_id = earlier.data.tags.get(names.PARENT_RUN_TAG, "")
    return MlflowTracker(
        outbox, new_run_id, parent_run_id, EarlierLog(new_run_id, earlier.data.params, ())
    )


def start_run_later(
    destination: Destination, spool_dir: Path, tags: Mapping[str, str], run_id: str | None = None
) -> MlflowTracker:
    """Open a run although the store does not answer: everything waits in the spool, from the first
    number.

    Args:
        destination: As `start_run`.
        spool_dir: As `start_run`.
        tags: As `start_run`.
        run_id: As `start_run`.

    Raises:
        StorageUnavailableError: The spool cannot be written.
    """
    all_tags, session_id = opening_tags() | dict(tags), run_id or uuid.uuid4().hex
    outbox = Outbox(Spool.begin(spool_dir, session_id, destination), Delivery(destination, {}))
    if run_id is None:
        return MlflowTracker(outbox, begin_later(outbox, all_tags))
    outbox.put(GoOn(run=run_id, tags=all_tags))
    return MlflowTracker(outbox, run_id)


def begin_later(outbox: Outbox, tags: dict[str, str]) -> str:
    """Has a run created once the store answers, and returns the id by which it is called here."""
    run_id = uuid.uuid4().hex
    outbox.put(Begin(run=run_id, tags=tags, started_ms=_milliseconds()))
    return run_id


def opening_tags() -> dict[str, str]:
    """Who runs what: the process by which others see whether the run is still alive, the user, the
    state of the code.
    """
    process = this_process()
    return {**(process.tags() if process else {}), **provenance_tags()}


def _begin_spool(spool_dir: Path, run_id: str, store: Store, destination: Destination) -> Spool:
    try:
        return Spool.begin(spool_dir, run_id, destination)
    except StorageUnavailableError as error:
        with suppress(OrchestratorError), mlflow_calls(store.uri):
            store.client.set_tag(run_id, names.STATUS_REASON_TAG, str(error))
            store.client.set_terminated(run_id, RunStatus.FAILED.value)
        raise


def _existing_run(destination: Destination, run_id: str) -> Run:
    with database_ready(destination.uri):
        client = connect(destination.uri)
    return find_run_of_experiment(client, destination.uri, run_id, destination.experiment)


def _tidy_up(store: Store) -> None:
    """Close what earlier processes left; a run is worth more than the status of those before it."""
    try:
        close_abandoned_runs(store.client, store.uri, [store.experiment_id])
    except OrchestratorError as error:
        logger.warning("earlier runs whose process is gone could not be closed: %s", error)


def _process_tag() -> str:
    process = this_process()
    return process.tags()[names.PROCESS_STARTED_TAG] if process else ""


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
