"""Define the log entries of a run, which the spool stores on disk as JSON.

Do not change the JSON form of an entry, because this version must read spools of earlier versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orchestrator.tracking.tracker import DatasetUse, RunStatus
from orchestrator.tracking.views.view import View


class _Entry(BaseModel):
    """A log entry of one run.

    The field `run` is MLflow's id of the run, or the run's provisional id. A new child, and a run
    that is opened while the store is down, have a provisional id until MLflow creates them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    run: str


class Begin(_Entry):
    """Create a new child, or a run that was opened while the store was down.

    The field `run` is the run's provisional id.
    """

    kind: Literal["begin"] = "begin"
    tags: dict[str, str]
    started_ms: int


class Resume(_Entry):
    """Reopen an existing run. Metric points that the run has already logged are not sent again."""

    kind: Literal["go_on"] = "go_on"
    tags: dict[str, str]


class Parameters(_Entry):
    """Log parameters (settings) of a run."""

    kind: Literal["parameters"] = "parameters"
    values: dict[str, str]


class Points(_Entry):
    """Log values of metrics, each as (name, value, step). Sending this entry again adds no values,
    because the time of logging stays the same.
    """

    kind: Literal["points"] = "points"
    time_ms: int
    values: list[tuple[str, float, int]]


class Tags(_Entry):
    """Set or replace tags of a run."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]


class File(_Entry):
    """Add a file to the artifacts of a run."""

    kind: Literal["file"] = "file"
    path: Path
    artifact_folder: str


class Model(_Entry):
    """Log a packaged model (see `mlflow.packaging`), and register the model unless
    `registered_name` is empty.
    """

    kind: Literal["model"] = "model"
    folder: Path
    name: str
    registered_name: str


class Datasets(_Entry):
    """Record the data sets that a run learns from and is tested on."""

    kind: Literal["datasets"] = "datasets"
    uses: list[DatasetUse]


class Views(_Entry):
    """Add saved views to MLflow's page of the run's experiment."""

    kind: Literal["views"] = "views"
    views: list[View]


class End(_Entry):
    """End a run, unless another process has resumed the run since this entry was logged.

    The field `process` identifies the process that logged the entry, in the form of the tag
    `names.PROCESS_STARTED_TAG`.
    """

    kind: Literal["end"] = "end"
    process: str = ""
    status: RunStatus
    reason: str
    ended_ms: int


Entry: TypeAlias = (
    Begin | Resume | Parameters | Points | Tags | File | Model | Datasets | Views | End
)

_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def entry_from_json(line: bytes) -> Entry:
    """Read a log entry from its line in the journal.

    Raises:
        pydantic.ValidationError: The line is not a log entry.
    """
    return _ADAPTER.validate_json(line)
