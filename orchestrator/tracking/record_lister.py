"""List the runs, sweeps and student versions of a tracking store, the newest first.

Records are read page by page, and only as many pages as the caller needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking import names
from orchestrator.tracking.listed_version import ListedVersion
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    REASON_TAG,
    TEACHER_TAG,
    VersionFacts,
)
from orchestrator.tracking.run_query import Records, RunQuery
from orchestrator.tracking.tracked_run import TrackedRun

_PER_PAGE = 100


@dataclass(frozen=True)
class RunFilter:
    """Conditions for the runs or sweeps to list.

    Attributes:
        experiment: Name of the runs' experiment; None means any.
        status: Status of the runs in MLflow's terms, such as `FINISHED`; empty means any.
        tags: Required values of tags, by the key of the tag.
    """

    experiment: str | None = None
    status: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class RecordLister:
    """Lists the runs, sweeps and student versions of a tracking store.

    Each method raises `TrackingUnavailableError` if the store does not answer.
    """

    def __init__(self, records: Records) -> None:
        """Create a lister without sending a request to the store.

        Args:
            records: Access to the records of the store.
        """
        self._records = records

    def require_experiment(self, name: str) -> None:
        """Raise `UserInputError` if the store has no experiment with this name."""
        known = sorted(self._experiments.values())
        if name not in known:
            raise UserInputError(
                f"there is no experiment {name!r} (there are {', '.join(map(repr, known))})",
                shown(self._records.uri),
                "correct --experiment, or name another store: --tracking-uri",
            )

    def runs(self, wanted: RunFilter) -> Iterator[TrackedRun]:
        """Yield runs that are neither sweeps nor trials, the newest first, without their files and
        histories.
        """
        return (run for run in self._records.runs(self._query(wanted)) if not run.is_sweep)

    def sweeps(self, wanted: RunFilter) -> Iterator[TrackedRun]:
        """Yield sweeps, the newest first, without their files and histories."""
        query = self._query(wanted, has_tags=[names.SWEEP_TAG])
        return (run for run in self._records.runs(query) if run.is_sweep)

    def students_with(self, alias: str) -> list[ListedVersion]:
        """Return the student versions that have a given alias, the newest first."""
        found = [
            self._records.version(model, aliases[alias])
            for model, aliases in self._aliases.items()
            if alias in aliases
        ]
        return self._listed(sorted(found, key=lambda facts: facts.created_ms, reverse=True))

    def retrained_students(self) -> Iterator[ListedVersion]:
        """Yield the student versions that retrainings have registered, the newest first."""
        page: list[VersionFacts] = []
        for facts in self._records.students_with_tag(TEACHER_TAG):
            page.append(facts)
            if len(page) == _PER_PAGE:
                yield from self._listed(page)
                page = []
        yield from self._listed(page)

    # --- internals --------------------------------------------------------------------------------

    @cached_property
    def _experiments(self) -> Mapping[str, str]:
        return self._records.experiments()

    @cached_property
    def _aliases(self) -> dict[str, dict[str, str]]:
        return self._records.student_aliases()

    def _query(self, wanted: RunFilter, has_tags: Sequence[str] = ()) -> RunQuery:
        ids = [i for i, name in self._experiments.items() if wanted.experiment in (None, name)]
        return RunQuery(
            ids,
            status=wanted.status,
            tags=wanted.tags,
            has_tags=has_tags,
            lacks_tags=[names.PARENT_RUN_TAG],
            per_page=_PER_PAGE,
        )

    def _listed(self, versions: Iterable[VersionFacts]) -> list[ListedVersion]:
        versions = list(versions)
        runs = self._records.experiments_of({one.run_id for one in versions if one.run_id})
        return [_value(one, self._aliases.get(one.model, {}), runs) for one in versions]


def _value(
    version: VersionFacts, aliases: Mapping[str, str], experiments: Mapping[str, str]
) -> ListedVersion:
    tags = version.tags
    return ListedVersion(
        model=version.model,
        version=version.version,
        aliases=sorted(alias for alias, holder in aliases.items() if holder == version.version),
        state=tags.get(names.STATE_TAG, ""),
        reason=tags.get(REASON_TAG, ""),
        decided_by=tags.get(DECIDED_BY_TAG, ""),
        run_id=version.run_id,
        experiment=experiments.get(version.run_id, ""),
        created=datetime.fromtimestamp(version.created_ms / 1000, UTC),
        tags=tags,
    )
