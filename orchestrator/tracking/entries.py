"""What is said to a tracking store about runs, as values that can wait on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orchestrator.tracking.tracker import DatasetUse, RunStatus
from orchestrator.tracking.views.view import View


class _Entry(BaseModel):
    """Every entry names its run by the id that this program gave out; the store may know it by
    another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    run: str


class Begin(_Entry):
    """A run that was opened while the store was away, and is still to be created there."""

    kind: Literal["begin"] = "begin"
    tags: dict[str, str]
    started_ms: int


class GoOn(_Entry):
    """A run of the store that is opened again: points that it has already are not sent to it."""

    kind: Literal["go_on"] = "go_on"
    tags: dict[str, str]


class Parameters(_Entry):
    """Settings of a run."""

    kind: Literal["parameters"] = "parameters"
    values: dict[str, str]


class Points(_Entry):
    """Values of metrics; the time is that at which they were logged, so that sending them again
    adds nothing.
    """

    kind: Literal["points"] = "points"
    time_ms: int
    values: list[tuple[str, float, int]]


class Tags(_Entry):
    """Tags to be set or replaced."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]


class File(_Entry):
    """A file for the run's artifacts."""

    kind: Literal["file"] = "file"
    path: Path
    artifact_folder: str


class Model(_Entry):
    """A packaged model (see `packaging`), and under which name it is registered; empty for none."""

    kind: Literal["model"] = "model"
    folder: Path
    name: str
    registered_name: str


class Datasets(_Entry):
    """What the run learns from and is tested on."""

    kind: Literal["datasets"] = "datasets"
    uses: list[DatasetUse]


class Views(_Entry):
    """Saved views of the run's experiment."""

    kind: Literal["views"] = "views"
    views: list[View]


class End(_Entry):
    """How the run ended, and when; by the value of its process's tag `names.PROCESS_STARTED_TAG` no
    other process's run is ended.
    """

    kind: Literal["end"] = "end"
    process: str = ""
    status: RunStatus
    reason: str
    ended_ms: int


Entry: TypeAlias = Begin | GoOn | Parameters | Points | Tags | File | Model | Datasets | Views | End

_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def entry_from_json(line: bytes) -> Entry:
    """An entry from its line.

    Raises:
        pydantic.ValidationError: It is no entry.
    """
    return _ADAPTER.validate_json(line)
