"""Define a query for runs, and the protocol `Records`, which MLflow and SQL implement."""

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
        run_id_prefix: First characters of the run's id; empty means any.
        status: Status of the run in MLflow's terms, such as `FINISHED`; empty means any.
        tags: Required values of tags, by the key of the tag.
        tag_prefixes: Required first characters of the values of tags, by the key of the tag.
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
        """Return the names of the experiments that are not deleted, by experiment id."""
        ...

    def runs(self, query: RunQuery) -> Iterator[TrackedRun]:
        """Yield the runs that match a query, the newest first, without histories and files."""
        ...

    def experiments_of(self, run_ids: AbstractSet[str]) -> dict[str, str]:
        """Return the name of each run's experiment, by run id; omit runs that are deleted."""
        ...

    def histories(self, run_id: str, metric_names: Sequence[str]) -> dict[str, History]:
        """Return each metric's history, by the metric's name: (step, value) pairs ordered by step.
        If a step has several values, the history contains the last one.
        """
        ...

    def list_files(self, run_id: str, folder: str = "") -> set[str]:
        """Return the paths of the files in a folder of a run's artifacts, without subfolders."""
        ...

    def read_files(self, run_id: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of the given artifacts of a run, by path."""
        ...

    def student_aliases(self) -> dict[str, dict[str, str]]:
        """Return the version number of each alias, by student model and by alias."""
        ...

    def version(self, model: str, version: str) -> VersionFacts:
        """Return an existing version of a registered model."""
        ...

    def students_with_tag(self, tag: str) -> Iterator[VersionFacts]:
        """Yield the student versions that have a tag with this key, the newest first."""
        ...
