"""The protocol by which a run reports its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from orchestrator.tracking import names
from orchestrator.tracking.views.view import View


class RunStatus(StrEnum):
    """How a run ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """Hold one value of one metric.

    Attributes:
        name: Of the metric.
        value: At the step.
        step: See `names` for what it counts.
        time_ms: When it was logged, in milliseconds since 1970; 0 where nobody cares.
    """

    name: str
    value: float
    step: int
    time_ms: int = 0


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """Describe a data set and what a run does with it, in MLflow's words.

    Attributes:
        name: Of the data set.
        digest: Tells its content apart from any other's; at most 36 characters.
        source_type: Kind of place it comes from.
        source: The place, as JSON.
        schema: Shape and type of the images and labels, as JSON.
        profile: Numbers of images, as JSON.
        context: `training`, `testing` or `unlabeled`.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    context: str


class Tracker(Protocol):
    """Take the numbers of one run, in the order in which they are handed over.

    A tracker may send them later, and keeps them until then; after `close` they have arrived, or
    wait where the next command finds them.

    Every `log_…`, `set_tags` and `open_child` raises `RuntimeError` once the run is closed.

    A run that is resumed (by its run id) never gets a point twice: metrics are skipped whose name
    and step it already has. Its parameters may be logged again with the same values; another value
    is a `UserInputError`.
    """

    @property
    def run_id(self) -> str:
        """The run's identifier: 32 hexadecimal digits."""
        ...

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep settings of the run; a value over 6000 characters ends with an ellipsis."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep values that belong to one step (see `names` for what a step counts)."""
        ...

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Keep values of any steps, in their order: as many `log_metrics`, at the price of one."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        ...

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Keep a copy of a file, under its own name, in a folder of the run's artifacts ("" is the
        top).
        """
        ...

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Keep a packaged model (see `mlflow.packaging`).

        Args:
            folder: The package.
            name: What the run calls it, such as `student`.
            registered_name: In the model registry; empty for a model that is not registered.
        """
        ...

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Keep which data the run learns from and is tested on."""
        ...

    def save_views(self, views: Sequence[View]) -> None:
        """Offer comparisons on the page of the run's experiment; what a person saved there stays
        untouched.
        """
        ...

    def view_url(self, view: View) -> str:
        """Return the page that shows a saved view; empty where there is none (yet)."""
        ...

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> "Tracker":
        """Open a run below this one, such as a trial below its sweep; each is closed by itself.

        Args:
            run_name: What the child is called.
            tags: Further tags of the child; see `names` for keys.
            run_id: A child of this run to resume; None for a new one.

        Raises:
            RuntimeError: This run is itself a child: there are two levels. Or it is closed.
            UserInputError: `run_id` names no child of this run (a tracker that keeps nothing
                believes it).
        """
        ...

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run; only the first call counts, so that a `finally` may close what an `except`
        has closed.
        """
        ...


class Lifetime:
    """Hold whether a run is still open, and whether it may have children.

    Args:
        run_id: Named in the error for a number that comes too late.
        parent_run_id: The run above this one; empty when there is none.
    """

    def __init__(self, run_id: str, parent_run_id: str = "") -> None:
        self.run_id = run_id
        self.parent_run_id = parent_run_id
        self.status: RunStatus | None = None

    def require_open(self) -> None:
        """Raise `RuntimeError` when the run is closed."""
        if self.status is not None:
            raise RuntimeError(
                f"run {self.run_id} is closed ({self.status}); log before close(), or open a"
                " new run"
            )

    def child_tags(self, run_name: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Return all tags of a child; raise `RuntimeError` where this run may have none."""
        self.require_open()
        if self.parent_run_id:
            # MLflow's pages show no third level.
            raise RuntimeError(
                f"run {self.run_id} is a child of run {self.parent_run_id}; open the new run from"
                " there"
            )
        return {
            **tags,
            names.RUN_NAME_TAG: run_name,
            names.PARENT_RUN_TAG: self.run_id,
            names.SWEEP_TAG: self.run_id,
        }

    def end(self, status: RunStatus) -> bool:
        """End the run; return True the first time, False for every later call."""
        if self.status is not None:
            return False
        self.status = status
        return True
