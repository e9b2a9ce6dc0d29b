"""Log to a run and to the run's children in one session, through a shared outbox.

The outbox is a queue of log entries: it keeps the entries on disk, and sends them from a thread.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog, not_a_child
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.runs import find_run
from orchestrator.tracking.outbox.entries import Begin
from orchestrator.tracking.outbox.outbox import Outbox
from orchestrator.tracking.outbox.spool import Spool

# How long `begin_child` may wait until the outbox has sent earlier log entries and MLflow has
# created the child.
OPENING_SECONDS = 5.0


class Session:
    """Opens a run and its children, and logs to all of them through one outbox.

    Args:
        spool: Keeps the log entries that the outbox has not sent yet.
        delivery: Sends the log entries to the store.
        opening_tags: Tags of every run that the session opens; they identify the user, the process
            and the commit of the code.

    Attributes:
        outbox: Takes the log entries of all runs of the session.
        delivery: Sends the log entries to the store.
        opening_tags: Tags of every run that the session opens.
    """

    def __init__(
        self, spool: Spool, delivery: MlflowDelivery, opening_tags: Mapping[str, str]
    ) -> None:
        self.outbox = Outbox(spool, delivery)
        self.delivery = delivery
        self.opening_tags = dict(opening_tags)

    def begin_later(self, tags: Mapping[str, str]) -> str:
        """Create a run once the store answers, and return the run's provisional id.

        The run keeps the provisional id as its tag `names.SPOOL_ID_TAG`.
        """
        run_id = uuid.uuid4().hex
        self.outbox.put(Begin(run=run_id, tags=dict(tags), started_ms=now_ms()))
        return run_id

    def begin_child(self, tags: Mapping[str, str]) -> str:
        """Create a child run, and return its id: MLflow's id if MLflow creates the run within
        `OPENING_SECONDS`, otherwise a provisional id that the run has until MLflow creates it.
        """
        is_failing = self.outbox.is_failing
        run_id = self.begin_later(tags)
        if not is_failing:
            # A store that hangs must not delay training for longer than `OPENING_SECONDS`.
            self.outbox.flush(OPENING_SECONDS, numbers_only=True)
        return self.delivery.id_of(run_id)

    def earlier_log_of_child(self, run_id: str, parent_run_id: str) -> EarlierLog:
        """Return the parameters that a child run has logged, as an `EarlierLog` without metric
        points; return an empty log if the store does not answer.

        Raises:
            UserInputError: The child does not exist, or is not a child of this parent run.
        """
        if self.outbox.is_failing:
            return NoEarlierLog()
        uri = self.delivery.destination.uri
        try:
            with mlflow_calls(uri):
                child = find_run(self.delivery.store.client, uri, run_id)
        except TrackingUnavailableError:
            return NoEarlierLog()
        parent = child.data.tags.get(names.PARENT_RUN_TAG)
        if parent not in (parent_run_id, self.delivery.id_of(parent_run_id)):
            raise not_a_child(run_id, parent_run_id)
        return EarlierLog(run_id, child.data.params, ())


def now_ms() -> int:
    """Return the current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
