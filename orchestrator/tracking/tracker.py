"""Define the protocol by which a run logs its values, files and models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from orchestrator.tracking import names
from orchestrator.tracking.views.view import View


class RunStatus(StrEnum):
    """Final status of a run, in MLflow's terms."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of one metric.

    Attributes:
        name: Name of the metric.
        value: Value at the step.
        step: Step of the value; see `names` for what a step counts.
        time_ms: Time of logging, in milliseconds since 1970; 0 if the time does not matter.
    """

    name: str
    value: float
    step: int
    time_ms: int = 0


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A data set and its use by a run, in the form that MLflow records.

    Attributes:
        name: Name of the data set.
        digest: Digest of the data set's content; at most 36 characters.
        source_type: Kind of the data set's source, such as `local`.
        source: Location of the data set's source, as JSON.
        schema: Shape and type of the images and labels, as JSON.
        profile: Numbers of images and classes, as JSON.
        context: How the run uses the data set: `training`, `testing` or `unlabeled`.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    context: str


class Tracker(Protocol):
    """Takes the values, files and models that one run logs, in the order of logging.

    A tracker may keep logged entries and send them to the store later. Entries that are not sent
    when `close` returns are sent by the next command.

    After the run is closed, every `log_…`, `set_tags` and `open_child` raises `RuntimeError`.

    A resumed run never logs a metric point twice: the tracker skips a point if the run already has
    a point with the same name and step. A resumed run may log a parameter again with the same
    value; a different value raises `UserInputError`.
    """

    @property
    def run_id(self) -> str:
        """Return the run's identifier: 32 hexadecimal digits."""
        ...

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Log parameters (settings) of the run; a value over 6000 characters is truncated with an
        ellipsis.
        """
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log values of metrics that belong to one step (see `names` for what a step counts)."""
        ...

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Log metric points in order; the points may have different steps. One call takes no more
        time than one call of `log_metrics`.
        """
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags of the run."""
        ...

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Log a copy of a file under the same name.

        Args:
            path: Path of the file.
            artifact_folder: Folder within the run's artifacts; "" is the top folder.
        """
        ...

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Log a packaged model (see `mlflow.packaging`).

        Args:
            folder: Folder of the package.
            name: Name of the model within the run, such as `student`.
            registered_name: Name in the model registry; if empty, the model is not registered.
        """
        ...

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Record the data that the run learns from and is tested on."""
        ...

    def save_views(self, views: Sequence[View]) -> None:
        """Add saved views to MLflow's page of the run's experiment; keep views that a person has
        saved there.
        """
        ...

    def view_url(self, view: View) -> str:
        """Return the URL of the page that shows a saved view; empty if there is no page (yet)."""
        ...

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> "Tracker":
        """Open a child of this run, such as a trial of a sweep. The parent and the child are closed
        separately.

        Args:
            run_name: Name of the child.
            tags: Further tags of the child; `names` defines the keys.
            run_id: Id of the child to resume; None for a new child.

        Raises:
            RuntimeError: This run is closed, or is itself a child. A child cannot have children.
            UserInputError: The run to resume is not a child of this run; `NullTracker` does not
                check this.
        """
        ...

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run. Only the first call counts, so a `finally` block may call this method again
        after an `except` block.
        """
        ...


class Lifetime:
    """State of a run: whether it is open, and whether it may have children.

    Args:
        run_id: Id of the run, for the error if a value is logged after the run has ended.
        parent_run_id: Id of the parent run; empty if there is none.
    """

    def __init__(self, run_id: str, parent_run_id: str = "") -> None:
        self.run_id = run_id
        self.parent_run_id = parent_run_id
        self.status: RunStatus | None = None

    def require_open(self) -> None:
        """Raise `RuntimeError` if the run is closed."""
        if self.status is not None:
            raise RuntimeError(
                f"run {self.run_id} is closed ({self.status}); log before close(), or open a"
                " new run"
            )

    def child_tags(self, run_name: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Return all tags of a new child; raise `RuntimeError` if this run is itself a child."""
        self.require_open()
        if self.parent_run_id:
            # Reject a child of a child, because MLflow's pages do not show it.
            raise RuntimeError(
                f"run {self.run_id} is a child of run {self.parent_run_id}, and only two levels"
                " are possible: open the new run from the parent"
            )
        return {
            **tags,
            names.RUN_NAME_TAG: run_name,
            names.PARENT_RUN_TAG: self.run_id,
            names.SWEEP_TAG: self.run_id,
        }

    def end(self, status: RunStatus) -> bool:
        """End the run, and return True; return False if the run has ended already."""
        if self.status is not None:
            return False
        self.status = status
        return True
