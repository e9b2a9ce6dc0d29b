"""Reconcile a tracking store: deliver spooled records, and close runs whose process was killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.addresses import absolute_tracking_uri, sqlite_path
from orchestrator.errors import OrchestratorError, StorageUnavailableError, TransientError
from orchestrator.masking import shown
from orchestrator.tracking.outbox.left_behind import LeftBehind, deliver_left_behind
from orchestrator.tracking.preflight import check_reachable, prepare_mlflow
from orchestrator.tracking.uris import require_supported


@dataclass(frozen=True)
class Reconciliation:
    """Result of a reconciliation.

    Attributes:
        left_behind: Result of delivering spooled records now, for each process that ended before
            all of its records were delivered.
        closed: Ids of the runs that were closed as FAILED, by the store's address without password.
        errors: The error of each store that could not be reconciled, by the store's address.
    """

    left_behind: Sequence[LeftBehind]
    closed: dict[str, list[str]]
    errors: dict[str, OrchestratorError]

    def raise_error(self) -> None:
        """Raise the first error, if any. Errors of user input take precedence over transient
        errors.

        Raises:
            UserInputError: A store denies access, or an experiment was deleted; the records stay in
                the spool.
            TrackingUnavailableError: A store does not answer.
        """
        problems = [
            *self.errors.values(),
            *(left.error for left in self.left_behind if left.error is not None),
        ]
        for error in sorted(problems, key=lambda problem: isinstance(problem, TransientError)):
            raise error


def reconcile(uri: str, spool_dir: Path) -> Reconciliation:
    """Deliver the records in a spool to the tracking stores for which they were recorded. Then
    close abandoned runs in these stores and in the store at `uri`.

    Args:
        uri: A tracking store whose abandoned runs are closed in any case; ignored if its database
            file is missing.
        spool_dir: The spool.

    Raises:
        UserInputError: The URI is not that of a tracking store.
        StorageUnavailableError: The spool cannot be read or written.
    """
    require_supported(uri)
    uri = absolute_tracking_uri(uri, Path.cwd())
    prepare_mlflow()
    # imported here because importing MLflow is slow
    from orchestrator.tracking.mlflow.abandoned_runs import (  # noqa: PLC0415
        close_abandoned_runs_of_store,
    )
    from orchestrator.tracking.mlflow.delivery import MlflowDelivery  # noqa: PLC0415

    try:
        left_behind = deliver_left_behind(spool_dir, MlflowDelivery, uri, only_there=False)
    except OSError as error:
        raise StorageUnavailableError(
            f"the spool cannot be used ({error.strerror or error})", where=str(spool_dir)
        ) from None
    path = sqlite_path(uri)
    here = [uri] if path is None or path.exists() else []
    closed: dict[str, list[str]] = {}
    errors: dict[str, OrchestratorError] = {}
    for store in dict.fromkeys([*here, *(left.destination.uri for left in left_behind)]):
        try:
            check_reachable(store)
            closed[shown(store)] = close_abandoned_runs_of_store(store)
        except OrchestratorError as error:
            errors[shown(store)] = error
    return Reconciliation(left_behind, closed, errors)
