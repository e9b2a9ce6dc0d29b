"""Write saved views of MLflow's experiment page as experiment tags, and link to them.

Since MLflow 3.16, the page stores each saved view in an experiment tag `mlflow.sharedViewState.ID`.
MLflow documents no interface for writing views. This module therefore writes views only for the
versions of MLflow with which it was tested.
"""

import base64
import json
import logging
import time
import urllib.parse
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from orchestrator.errors import OrchestratorError
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.preflight import ANSWER_SECONDS
from orchestrator.tracking.uris import SERVER_SCHEMES, experiment_url, uri_scheme
from orchestrator.tracking.views.view import Json, View

VIEW_TAG_PREFIX = "mlflow.sharedViewState."
CHECKED_VERSIONS = ("3.16", "3.17")
MAX_VALUE_CHARACTERS = (
    20_000  # MLflow's limit for a tag; a view has about 1,000 characters, even for 1,000 tasks
)
_COMPRESSED = "deflate;"

logger = logging.getLogger(__name__)


def save_views(client: MlflowClient, experiment_id: str, views: Iterable[View]) -> None:
    """Add saved views to MLflow's page of an experiment. Write only views that the experiment lacks
    or has in an older form, and keep views that a person has overwritten on the page.

    A failure is only logged as a warning, because a saved view matters less than the run.

    Args:
        client: MLflow's client of the store.
        experiment_id: Id of an experiment that is not deleted.
        views: Saved views with different ids.
    """
    try:
        with mlflow_calls(client.tracking_uri):
            if not _page_is_known(client.tracking_uri):
                return
            tags = client.get_experiment(experiment_id).tags
            for view in views:
                if _is_wanted(view, tags.get(tag_of(view))):
                    client.set_experiment_tag(
                        experiment_id, tag_of(view), envelope(view, time.time_ns() // 1_000_000)
                    )
    except OrchestratorError as error:
        logger.warning(
            "the comparison views of experiment %s could not be saved: %s", experiment_id, error
        )


def view_url(uri: str, experiment_id: str, view_id: str) -> str:
    """Return the URL of the page that shows a view.

    The page is on the MLflow server or, for any other store, on the server that `orchestrator ui`
    starts.
    """
    # Without `workflowType`, MLflow shows its menu for language models in a browser in which MLflow
    # was never opened before.
    query = {
        "viewStateShareKey": view_id,
        "compareRunsMode": "CHART",
        "workflowType": "machine_learning",
    }
    return f"{experiment_url(uri, experiment_id)}/runs?{urllib.parse.urlencode(query)}"


def tag_of(view: View) -> str:
    """Return the key of the experiment tag that stores a view."""
    return f"{VIEW_TAG_PREFIX}{view.id}"


def view_names(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each view that an experiment's tags contain, by the view's id."""
    found = {
        key.removeprefix(VIEW_TAG_PREFIX): _read(value)
        for key, value in tags.items()
        if key.startswith(VIEW_TAG_PREFIX)
    }
    return {view_id: str(saved["name"]) for view_id, saved in found.items() if saved}


def envelope(view: View, now_milliseconds: int) -> str:
    """Return the value of a view's tag: JSON with the view's name, times and compressed state."""
    packed = zlib.compress(json.dumps(view.state, separators=(",", ":")).encode(), level=9)
    state = _COMPRESSED + base64.b64encode(packed).decode()
    return json.dumps(
        {
            "name": view.name,
            "createdAt": now_milliseconds,
            "updatedAt": now_milliseconds,
            "state": state,
        }
    )


def state_of(value: str) -> Json:
    """Return the state of a view from its tag's value; empty if the value contains no state."""
    text = str(_read(value).get("state", ""))
    try:
        if text.startswith(_COMPRESSED):
            text = zlib.decompress(base64.b64decode(text.removeprefix(_COMPRESSED))).decode()
        state = json.loads(text)
    except (ValueError, zlib.error):
        return {}
    return state if isinstance(state, dict) else {}


def _is_wanted(view: View, saved: str | None) -> bool:
    if len(envelope(view, 0)) > MAX_VALUE_CHARACTERS:
        return False
    if saved is None:
        return True
    before = _read(saved)
    # When a person overwrites a view, the page changes the update time. In a view that only this
    # program has written, the update time equals the creation time.
    is_ours = before.get("createdAt") == before.get("updatedAt")
    return is_ours and (before.get("name") != view.name or state_of(saved) != view.state)


def _read(value: str) -> dict[str, Any]:
    try:
        read = json.loads(value)
    except ValueError:
        return {}
    return read if isinstance(read, dict) and isinstance(read.get("name"), str) else {}


def _page_is_known(uri: str) -> bool:
    """Return whether MLflow's version is in `CHECKED_VERSIONS`: the server's version or, for a
    database, the version installed here.
    """
    version = _server_version(uri) if uri_scheme(uri) in SERVER_SCHEMES else mlflow.__version__
    return ".".join(version.split(".")[:2]) in CHECKED_VERSIONS


def _server_version(uri: str) -> str:
    answer = http_request(
        get_default_host_creds(uri), "/version", "GET", max_retries=0, timeout=ANSWER_SECONDS
    )
    return str(answer.text).strip() if answer.ok else ""
