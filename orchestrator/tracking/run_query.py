"""Choose runs of a store: a question that MLflow and SQL are asked alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.tracked_run import History, TrackedRun


@dataclass(frozen=True)
class RunQuery:
    """Choose runs that are not deleted: all conditions hold.

    Attributes:
        experiment_ids: Where they lie.
        run_id: Their id.
        run_id_prefix: The first letters of their ids.
        status: In MLflow's words.
        tags: That they have.
        tag_prefixes: The first letters of the values of tags, by key.
        has_tags: Keys of tags that they have, whatever the value.
        lacks_tags: Keys of tags that they do not have.
        per_page: How many runs are read at once.
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
    """Read the records of a store as values; every method raises `TrackingUnavailableError` where
    the store does not answer.

    Attributes:
        uri: Of the store.
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
        """Return (step, value) pairs by metric, by step; of several at one step the last counts."""
        ...

    def list_files(self, run_id: str, folder: str = "") -> set[str]:
        """Return the paths of a run's artifacts that lie directly in a folder."""
        ...

    def read_files(self, run_id: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of artifacts by path."""
        ...

    def student_aliases(self) -> dict[str, dict[str, str]]:
        """Return the aliases of every student's model, and the versions that have them."""
        ...

    def version(self, model: str, version: str) -> VersionFacts:
        """Return one version, which must exist."""
        ...

    def students_with_tag(self, tag: str) -> Iterator[VersionFacts]:
        """Yield the versions of students that have a tag, the newest first."""
        ...
