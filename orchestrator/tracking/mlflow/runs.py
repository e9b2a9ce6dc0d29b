"""Create, find and reopen the runs and experiments of an MLflow store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities import Experiment, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import NEW_RUN_ADVICE, EarlierLog
from orchestrator.tracking.mlflow.calls import environment, mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.uris import artifact_root

MAX_PARAMETER_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
RUNNING = "RUNNING"
# Tags about the latest process of a run, and about the reason for which the run ended.
_TAGS_OF_ONE_PROCESS = (
    names.HOST_TAG,
    names.PROCESS_TAG,
    names.PROCESS_STARTED_TAG,
    names.HEARTBEAT_TAG,
    names.STATUS_REASON_TAG,
)


@dataclass(frozen=True)
class Store:
    """An open MLflow store, with one of its experiments.

    Attributes:
        client: MLflow's client of the store.
        uri: The store's URI, for messages.
        experiment_id: MLflow's id of the experiment.
    """

    client: MlflowClient
    uri: str
    experiment_id: str

    def find_run(self, run_id: str) -> Run:
        """Return the run with an id, as the function `find_run` does."""
        return find_run(self.client, self.uri, run_id)


def open_store(uri: str, experiment: str) -> Store:
    """Connect to a store; create a missing schema and a missing experiment.

    Raises:
        UserInputError: The experiment is deleted, or its name, the schema or the credentials are
            invalid.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
    """
    with mlflow_calls(uri), database_ready(uri):
        client = connect(uri)
        return Store(client, uri, open_experiment(client, uri, experiment))


def connect(uri: str) -> MlflowClient:
    """Return MLflow's client of a store; create the schema of an empty database."""
    root = artifact_root(uri)
    # MLflow creates its experiment "Default" together with the schema. Store the artifacts of this
    # experiment under the same root folder as the artifacts of all others.
    store_root = {"_MLFLOW_SERVER_ARTIFACT_ROOT": root.as_uri()} if root else {}
    with environment(store_root):
        # Without `registry_uri`, the client would use MLflow's global setting for the registry.
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an active experiment; create the experiment if the name is new.

    Args:
        client: MLflow's client of the store.
        uri: The store's URI, for messages and for the location of artifacts.
        name: Name of the experiment.

    Raises:
        UserInputError: The name is empty or too long, or the experiment is deleted.
    """
    if not name.strip() or len(name) > 500:
        raise UserInputError(
            f"the experiment's name {name[:40]!r} is empty or longer than 500",
            "tracking.experiment",
        )
    found = client.get_experiment_by_name(name)
    if found is None:
        root = artifact_root(uri)
        try:
            return str(
                client.create_experiment(
                    name, root.as_uri() if root else None, names.EXPERIMENT_TAGS
                )
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another process has created the experiment since the search.
            found = client.get_experiment_by_name(name)
    return _active(found, uri, name)


def create_run(
    client: MlflowClient, experiment_id: str, tags: Mapping[str, str], started_ms: int | None = None
) -> str:
    """Create a RUNNING run, and return its id. If `started_ms` is None, the run starts now."""
    kept = {key: clipped(value, MAX_TAG_CHARACTERS) for key, value in tags.items()}
    return str(client.create_run(experiment_id, started_ms, tags=kept).info.run_id)


def find_run(client: MlflowClient, uri: str, run_id: str) -> Run:
    """Return the run with an id, which is MLflow's id or the run's provisional id.

    A run that was opened while the store was down had a provisional id at first. The tag
    `names.SPOOL_ID_TAG` of the run contains this provisional id.

    Args:
        client: MLflow's client of the store.
        uri: The store's URI, for messages.
        run_id: Id of the run.

    Raises:
        UserInputError: The run does not exist, or is deleted.
    """
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        found = find_run_of_tag(client, active_experiments(client), names.SPOOL_ID_TAG, run_id)
        if found is None:
            raise UserInputError(
                f"there is no run {run_id!r} to resume", shown(uri), NEW_RUN_ADVICE
            ) from error
        run = client.get_run(found)
    if run.info.lifecycle_stage != "active":
        restore = f"restore the run (mlflow runs restore --run-id {run_id}) or {NEW_RUN_ADVICE}"
        raise UserInputError(f"run {run_id} is deleted", shown(uri), restore)
    return run


def active_experiments(client: MlflowClient) -> list[str]:
    """Return the ids of all experiments that are not deleted."""
    ids: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(page_token=token)
        ids += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return ids


def find_run_of_tag(
    client: MlflowClient, experiment_ids: Sequence[str], tag: str, value: str
) -> str | None:
    """Return MLflow's id of a run whose tag has a given value; None if there is no such run."""
    if not value.isalnum():
        return None  # ids are alphanumeric; other characters could break MLflow's search filter
    found = client.search_runs(list(experiment_ids), f"tags.`{tag}` = '{value}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def find_run_of_experiment(client: MlflowClient, uri: str, run_id: str, experiment: str) -> Run:
    """Return the run with an id; raise `UserInputError` if the run is not in the experiment."""
    run = find_run(client, uri, run_id)
    its_own = client.get_experiment(run.info.experiment_id).name
    if its_own != experiment:
        what = f"run {run_id} belongs to experiment {its_own!r}, not to {experiment!r}"
        raise UserInputError(
            what,
            shown(uri),
            f"set tracking.experiment to the run's experiment, or {NEW_RUN_ADVICE}",
        )
    return run


def reopen_run(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Set a run back to RUNNING, and replace the tags about the run's earlier process.

    Args:
        client: MLflow's client of the store.
        run: Current state of the run in the store.
        tags: Tags to set, including the tags that identify the run's new process.
    """
    run_id = run.info.run_id
    client.log_batch(run_id, tags=run_tags(tags))
    for tag in _TAGS_OF_ONE_PROCESS:
        if tag in run.data.tags and tag not in tags:
            client.delete_tag(run_id, tag)
    # Change the status last: while a RUNNING run names its earlier process, another process could
    # close the run as abandoned.
    client.update_run(run_id, status=RUNNING)


def read_earlier_log(client: MlflowClient, run_id: str) -> EarlierLog:
    """Read the parameters and metric points that a run has logged.

    This takes one request for the run, and at least one request for each metric; MLflow returns at
    most 25,000 points in a request.
    """
    data = client.get_run(run_id).data
    points = (
        (name, point.step)
        for name in data.metrics
        for point in client.get_metric_history(run_id, name)
    )
    return EarlierLog(run_id, data.params, points)


def run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Convert tags to MLflow's objects; truncate values to the length that MLflow stores."""
    return [RunTag(key, clipped(value, MAX_TAG_CHARACTERS)) for key, value in tags.items()]


def clipped(text: str, limit: int) -> str:
    """Return the text, ending with an ellipsis if it was longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _active(found: Experiment | None, uri: str, name: str) -> str:
    if found is None or found.lifecycle_stage != "active":
        deleted_id = found.experiment_id if found else "ID"
        restore = (
            f"restore the experiment (mlflow experiments restore --experiment-id {deleted_id})"
            " or choose"
            " another name"
        )
        raise UserInputError(f"tracking.experiment {name!r} is deleted", shown(uri), restore)
    return str(found.experiment_id)
