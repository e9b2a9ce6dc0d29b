"""Runs and experiments of an MLflow store: made when missing, found by their ids, opened again."""

from collections.abc import Mapping

from mlflow.entities import Experiment, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orchestrator.config.addresses import without_password
from orchestrator.errors import UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import NEW_RUN_ADVICE, EarlierLog
from orchestrator.tracking.mlflow_calls import QUICK_HTTP, environment
from orchestrator.tracking.run_process import this_process
from orchestrator.tracking.uris import artifact_root

MAX_TAG_CHARACTERS = 8000
_RUNNING = "RUNNING"
# What a run says about the process that drove it last, and of how it ended then.
_TAGS_OF_ONE_PROCESS = (names.HOST_TAG, names.PROCESS_TAG, names.PROCESS_STARTED_TAG, names.STATUS_REASON_TAG)


def connect(uri: str) -> MlflowClient:
    """A client of one store, which makes the schema of an empty database."""
    root = artifact_root(uri)
    # MLflow makes its "Default" experiment along with the database: its artifacts belong to the same root.
    store_root = {"_MLFLOW_SERVER_ARTIFACT_ROOT": root.as_uri()} if root else {}
    with environment(QUICK_HTTP | store_root):
        # The registry is named too: otherwise the client asks the global setting.
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The id of an active experiment, made when there is none of this name.

    Args:
        client: Bound to the store.
        uri: The store's URI.
        name: The experiment's name.

    Raises:
        UserInputError: The name is empty or too long, or the experiment is deleted.
    """
    if not name.strip() or len(name) > 500:
        raise UserInputError(f"the experiment's name {name[:40]!r} is empty or longer than 500", "tracking.experiment")
    with environment(QUICK_HTTP):
        found = client.get_experiment_by_name(name)
    if found is None:
        root = artifact_root(uri)
        try:
            return str(client.create_experiment(name, root.as_uri() if root else None, names.EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was quicker
    return _active(found, uri, name)


def create_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> str:
    """Start a run of this process, and return its id; `tags` win over what is found out here."""
    all_tags = _process_tags() | dict(tags)
    return str(
        client.create_run(experiment_id, tags={key: clipped(value, MAX_TAG_CHARACTERS) for key, value in all_tags.items()}).info.run_id
    )


def find_run(client: MlflowClient, uri: str, run_id: str) -> Run:
    """The run of an id, for going on with it.

    Args:
        client: Bound to the store.
        uri: The store's URI, for messages.
        run_id: MLflow's id of the run.

    Raises:
        UserInputError: There is no such run, or it is deleted.
    """
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise UserInputError(f"there is no run {run_id!r} to go on with", without_password(uri), NEW_RUN_ADVICE) from error
    if run.info.lifecycle_stage != "active":
        restore = f"restore it (mlflow runs restore --run-id {run_id}) or {NEW_RUN_ADVICE}"
        raise UserInputError(f"run {run_id} is deleted", without_password(uri), restore)
    return run


def find_run_of_experiment(client: MlflowClient, uri: str, run_id: str, experiment: str) -> Run:
    """As `find_run`, and within seconds; raise `UserInputError` also for a run of another experiment."""
    with environment(QUICK_HTTP):
        run = find_run(client, uri, run_id)
        its_own = client.get_experiment(run.info.experiment_id).name
    if its_own != experiment:
        what = f"run {run_id} lies in experiment {its_own!r}, not in {experiment!r}"
        raise UserInputError(what, without_password(uri), f"name its experiment as tracking.experiment, or {NEW_RUN_ADVICE}")
    return run


def reopen_run(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Make a run RUNNING again, as a run of this process.

    Args:
        client: Bound to the store.
        run: As found just now.
        tags: They replace the run's own, which it keeps otherwise.
    """
    run_id, new_tags = run.info.run_id, _process_tags() | dict(tags)
    client.log_batch(run_id, tags=run_tags(new_tags))
    for tag in _TAGS_OF_ONE_PROCESS:
        if tag in run.data.tags and tag not in new_tags:
            client.delete_tag(run_id, tag)
    # Last: a RUNNING run that still named its earlier process would be closed by whoever looks for abandoned runs.
    client.update_run(run_id, status=_RUNNING)


def read_earlier_log(client: MlflowClient, run_id: str) -> EarlierLog:
    """Everything that a run holds; one request for the run and one for each of its metrics (a page of 25 000 points)."""
    data = client.get_run(run_id).data
    points = ((name, point.step) for name in data.metrics for point in client.get_metric_history(run_id, name))
    return EarlierLog(run_id, data.params, points)


def run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Tags as MLflow takes them, cut to the length it keeps."""
    return [RunTag(key, clipped(value, MAX_TAG_CHARACTERS)) for key, value in tags.items()]


def clipped(text: str, limit: int) -> str:
    """The text, ending with an ellipsis where it was longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _process_tags() -> dict[str, str]:
    process = this_process()
    return process.tags() if process else {}


def _active(found: Experiment | None, uri: str, name: str) -> str:
    if found is None or found.lifecycle_stage != "active":
        deleted_id = found.experiment_id if found else "ID"
        restore = f"restore it (mlflow experiments restore --experiment-id {deleted_id}) or choose another name"
        raise UserInputError(f"tracking.experiment {name!r} is deleted", without_password(uri), restore)
    return str(found.experiment_id)
