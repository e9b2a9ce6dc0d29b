"""Keep everything that a run logs in memory, without a tracking store."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog, not_a_child
from orchestrator.tracking.tracker import DatasetUse, Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.views.view import View


class InMemoryTracker:
    """Keeps everything that a run logs in public attributes, for tests and notebooks.

    Args:
        run_name: Name of the run.
        parent_run_id: Id of the parent run; empty if there is none.

    Attributes:
        run_name: The run's name; resuming the run through `open_child` may change it.
        parameters: All logged parameters, by key.
        metrics: All metric points, in the order of logging.
        tags: The latest value of each tag.
        files: Content of each logged file, by artifact path such as "figures/overview.png".
        models: Each logged model's name in the model registry, by the model's name within the run;
            "" for a model that is not registered.
        datasets: All logged uses of data sets, in the order of logging.
        views: Saved views, by the id of the view.
        status: Final status of the run; None while the run is open.
        reason: Reason passed to `close`.
        children: Trackers of the runs opened by `open_child`, in the order of opening.
    """

    def __init__(self, run_name: str = "", parent_run_id: str = "") -> None:
        self._lifetime = Lifetime(uuid.uuid4().hex, parent_run_id)
        self._earlier: EarlierLog = NoEarlierLog()
        self.run_name = run_name
        self.parameters: dict[str, str] = {}
        self.metrics: list[MetricPoint] = []
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.models: dict[str, str] = {}
        self.datasets: list[DatasetUse] = []
        self.views: dict[str, View] = {}
        self.reason = ""
        self.children: list[InMemoryTracker] = []

    @property
    def run_id(self) -> str:
        """Return the run's random identifier."""
        return self._lifetime.run_id

    @property
    def status(self) -> RunStatus | None:
        """Return the run's final status; None while the run is open."""
        return self._lifetime.status

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep settings of the run in `parameters`, without truncating the values."""
        self._lifetime.require_open()
        self._earlier.require_same(parameters)
        self.parameters.update(parameters)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one point per value to `metrics`."""
        self.log_points([MetricPoint(name, value, step) for name, value in metrics.items()])

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Append points to `metrics`; a resumed run skips points that it has already logged."""
        self._lifetime.require_open()
        news = self._earlier.without_repeats(points)
        self.metrics += news
        self._earlier.remember(news)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags of the run in `tags`."""
        self._lifetime.require_open()
        self.tags.update(tags)

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Keep the file's content in `files`."""
        self._lifetime.require_open()
        self.files[str(PurePosixPath(artifact_folder, path.name))] = path.read_bytes()

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Keep the model's names in `models`, but not the model itself."""
        self._lifetime.require_open()
        self.models[name] = registered_name

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Append uses of data sets to `datasets`."""
        self._lifetime.require_open()
        self.datasets += uses

    def save_views(self, views: Sequence[View]) -> None:
        """Keep views in `views`."""
        self._lifetime.require_open()
        self.views.update({view.id: view for view in views})

    def view_url(self, view: View) -> str:
        """Return an empty text: without a store, a saved view has no page."""
        return ""

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> "InMemoryTracker":
        """Open a new child of the run, or resume one of `children`."""
        all_tags = self._lifetime.child_tags(run_name, tags)
        if run_id is None:
            child = InMemoryTracker(run_name, self.run_id)
            self.children.append(child)
        else:
            child = self._child(run_id)
            child.resume(run_name)
        child.set_tags(all_tags)
        return child

    def resume(self, run_name: str) -> None:
        """Reopen the run as if it had never been closed."""
        self._lifetime = Lifetime(self.run_id, self._lifetime.parent_run_id)
        self._earlier = EarlierLog(
            self.run_id, self.parameters, ((point.name, point.step) for point in self.metrics)
        )
        self.run_name = run_name
        self.reason = ""

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run with a final status and the reason for this status."""
        if self._lifetime.end(status):
            self.reason = reason

    def history(self, name: str) -> list[tuple[int, float]]:
        """Return the (step, value) pairs of one metric, in the order of logging."""
        return [(point.step, point.value) for point in self.metrics if point.name == name]

    def _child(self, run_id: str) -> "InMemoryTracker":
        for child in self.children:
            if child.run_id == run_id:
                return child
        raise not_a_child(run_id, self.run_id)
