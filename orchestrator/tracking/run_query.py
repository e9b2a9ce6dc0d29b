"""Define a query for runs, and a protocol that both MLflow and SQL implement to answer it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.tracked_run import History, TrackedRun


@dataclass(frozen=True)
class RunQuery:
    """Query for runs that are not deleted; a run must satisfy all conditions.

    Attributes:
        experiment_ids: Ids of the experiments to search.
        run_id: Id of the run; empty means any.
        run_id_prefix: First characters of the id; empty means any.
        status: Status in MLflow's terms; empty means any.
        tags: Required values of tags, by key.
        tag_prefixes: First characters of required values of tags, by key.
        has_tags: Keys of tags that must exist, with any value.
        lacks_tags: Keys of tags that must not exist.
        per_page: Number of runs read at once.
    """

    experiment_ids: Sequence[str]
    run_id: str = ""
    run_id_prefix: str = ""
    status: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    tag_prefixes: Mapping[str, str] = field(default_factory=dict)
    has_tags: Sequence[str] = ()
    lacks_tags: Sequence[str] = ()
    per_page: int = 1000


class Records(Protocol):
    """Protocol for reading the experiments, runs and artifacts of a tracking store as plain values.

    Each method raises `TrackingUnavailableError` if the store does not answer.

    Attributes:
        uri: URI of the tracking store.
    """

    uri: str

    def experiments(self) -> Mapping[str, str]:
        """Return the names of the experiments that are not deleted, by id."""
        ...

    def runs(self, query: RunQuery) -> Iterator[TrackedRun]:
        """Yield runs, the newest first, without histories and files, page by page."""
        ...

    def experiments_of(self, run_ids: AbstractSet[str]) -> dict[str, str]:
        """Return the names of the experiments of runs that are not deleted, by run id."""
        ...

    def histories(self, run_id: str, metric_names: Sequence[str]) -> dict[str, History]:
        """Return (step, value) pairs ordered by step, by metric. Of several values at one step, the
        last counts.
        """
        ...

    def list_files(self, run_id: str, folder: str = "") -> set[str]:
        """Return the paths of a run's artifacts that are directly in a folder."""
        ...

    def read_files(self, run_id: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of a run's artifacts, by path."""
        ...

    def student_aliases(self) -> dict[str, dict[str, str]]:
        """Return the version that each alias names, by the student model's name and the alias."""
        ...

    def version(self, model: str, version: str) -> VersionFacts:
        """Return an existing version of a model."""
        ...

    def students_with_tag(self, tag: str) -> Iterator[VersionFacts]:
        """Yield the versions of students that have a tag, the newest first."""
        ...
