"""Define the log entries of a run as values that can wait on disk.

The JSON form of entries is frozen: this version must deliver spools of earlier versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orchestrator.tracking.tracker import DatasetUse, RunStatus
from orchestrator.tracking.views.view import View


class _Entry(BaseModel):
    """An entry of a run. `run` is the id that this program issued; the store may use another id."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    run: str


class Begin(_Entry):
    """Create a run that was opened while the store was down."""

    kind: Literal["begin"] = "begin"
    tags: dict[str, str]
    started_ms: int


class Resume(_Entry):
    """Reopen a run of the store; points that the run already has are not sent again."""

    kind: Literal["go_on"] = "go_on"
    tags: dict[str, str]


class Parameters(_Entry):
    """Log settings of a run."""

    kind: Literal["parameters"] = "parameters"
    values: dict[str, str]


class Points(_Entry):
    """Log values of metrics. The time of logging identifies them, so sending them again adds
    nothing.
    """

    kind: Literal["points"] = "points"
    time_ms: int
    values: list[tuple[str, float, int]]


class Tags(_Entry):
    """Set or replace tags of a run."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]


class File(_Entry):
    """Add a file to the run's artifacts."""

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
    """Record the data that the run learns from and is tested on."""

    kind: Literal["datasets"] = "datasets"
    uses: list[DatasetUse]


class Views(_Entry):
    """Save views of the run's experiment."""

    kind: Literal["views"] = "views"
    views: list[View]


class End(_Entry):
    """End the run, unless another process has resumed it since. `process` is the run's value of
    `names.PROCESS_STARTED_TAG` when the entry was logged.
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
    """Read an entry from its line in a journal.

    Raises:
        pydantic.ValidationError: The line is not an entry.
    """
    return _ADAPTER.validate_json(line)
