"""A tracker whose numbers stay in the process, to be looked at."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.tracking.tracker import Lifetime, RunStatus


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of one metric."""

    name: str
    value: float
    step: int


class InMemoryTracker:
    """Keeps everything in public attributes: for tests and notebooks.

    Attributes:
        parameters: As logged.
        metrics: Every point, in the order of logging.
        tags: The latest value of each.
        files: Content by artifact path ("figures/overview.png").
        status: None while the run is open.
        reason: Why it ended, as told to `close`.
    """

    def __init__(self) -> None:
        self._lifetime = Lifetime(uuid.uuid4().hex)
        self.parameters: dict[str, str] = {}
        self.metrics: list[MetricPoint] = []
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.reason = ""

    @property
    def run_id(self) -> str:
        """A fresh identifier."""
        return self._lifetime.run_id

    @property
    def status(self) -> RunStatus | None:
        """How the run ended, None while it is open."""
        return self._lifetime.status

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep settings, whole: a reader in the same process has room for them."""
        self._lifetime.require_open()
        self.parameters.update(parameters)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one point per value."""
        self._lifetime.require_open()
        self.metrics += [MetricPoint(name, value, step) for name, value in metrics.items()]

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._lifetime.require_open()
        self.tags.update(tags)

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Keep the file's content."""
        self._lifetime.require_open()
        self.files[str(PurePosixPath(artifact_folder, path.name))] = path.read_bytes()

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run."""
        if self._lifetime.end(status):
            self.reason = reason

    def history(self, name: str) -> list[tuple[int, float]]:
        """The (step, value) pairs of one metric, in the order of logging."""
        return [(point.step, point.value) for point in self.metrics if point.name == name]
