"""List the records of a tracking store: runs, sweeps, champions, and the model versions that
retrainings have registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, TypeAlias, get_args

from orchestrator.errors import UserInputError
from orchestrator.masking import shown, shown_values
from orchestrator.retraining.version_states import CHAMPION, VersionState
from orchestrator.tracking import RunStatus, names
from orchestrator.tracking.listed_version import ListedVersion
from orchestrator.tracking.reading import open_lister
from orchestrator.tracking.record_lister import RecordLister, RunFilter
from orchestrator.tracking.tracked_run import TrackedRun

Kind: TypeAlias = Literal["runs", "sweeps", "champions", "retrainings"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RUN_STATES = ("running", *(status.value.lower() for status in RunStatus))
VERSION_STATES = tuple(state.value for state in VersionState)
_OF_MLFLOW = "mlflow."


@dataclass(frozen=True)
class Filters:
    """Filters of a listing.

    Attributes:
        kind: The only kind to list; None means all.
        experiment: Name of the only MLflow experiment to list; None means all.
        state: One of `RUN_STATES` or `VERSION_STATES`; None means all.
        tags: Tags that a run or a version must have, as `KEY=VALUE`.
        limit: Maximum number of records of each kind.
    """

    kind: Kind | None = None
    experiment: str | None = None
    state: str | None = None
    tags: Sequence[str] = ()
    limit: int = 20

    def wants(self, kind: Kind) -> bool:
        """Return whether the filters can select records of this kind."""
        states = RUN_STATES if kind in ("runs", "sweeps") else VERSION_STATES
        return self.kind in (None, kind) and (self.state is None or self.state in states)

    def tag_values(self) -> dict[str, str]:
        """Return the tags that a listed run or version must have: the required value of each tag,
        by key.

        Raises:
            UserInputError: A required tag is not of the form `KEY=VALUE`, or MLflow cannot search
                for the tag.
        """
        pairs = [
            (key, separator, value)
            for key, separator, value in (text.partition("=") for text in self.tags)
        ]
        for key, separator, value in pairs:
            if not key or not separator:
                raise UserInputError(
                    f"{key or separator!r} is not a tag", "--tag", "write --tag KEY=VALUE"
                )
            if "`" in key or {"'", '"'} <= set(value):
                raise UserInputError(
                    f"MLflow cannot search for the tag {key}={value}",
                    "--tag",
                    "use a key without ` and a value without one of the two kinds of quotes",
                )
        return {key: value for key, _, value in pairs}


@dataclass(frozen=True)
class Listing:
    """Matching records of a store, newest first.

    Attributes:
        uri: The store, without secrets.
        runs: Runs, without sweeps and their trials.
        sweeps: The parent runs of sweeps.
        champions: For each student model, the version that is the champion.
        retrainings: The versions of student models that retrainings have registered.
        more: The kinds with more matching records than the limit.
    """

    uri: str
    runs: Sequence[TrackedRun] = ()
    sweeps: Sequence[TrackedRun] = ()
    champions: Sequence[ListedVersion] = ()
    retrainings: Sequence[ListedVersion] = ()
    more: Sequence[Kind] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the records as JSON values: accuracies are fractions, times are ISO 8601 in
        UTC.
        """
        document = {
            "tracking_uri": self.uri,
            "runs": [_run_as_json(run) for run in self.runs],
            "sweeps": [_run_as_json(sweep) for sweep in self.sweeps],
            "champions": [_version_as_json(version) for version in self.champions],
            "retrainings": [_version_as_json(version) for version in self.retrainings],
            "more": list(self.more),
        }
        values: dict[str, Any] = shown_values(document)
        return values


def list_records(filters: Filters, uri: str) -> Listing:
    """List the matching records of a tracking store, without writing to it.

    Args:
        filters: The filters.
        uri: The tracking store.

    Raises:
        UserInputError: The store or the experiment does not exist, or MLflow cannot search for a
            tag.
        TrackingUnavailableError: The store does not answer.
    """
    tags = filters.tag_values()
    lister = open_lister(uri)
    if filters.experiment is not None:
        lister.require_experiment(filters.experiment)
    limit = filters.limit
    wanted = RunFilter(filters.experiment, (filters.state or "").upper(), tags)
    runs = list(islice(lister.runs(wanted), limit + 1)) if filters.wants("runs") else []
    sweeps = list(islice(lister.sweeps(wanted), limit + 1)) if filters.wants("sweeps") else []
    champions = _champions(lister, filters, tags)
    retrainings = list(islice(_retrainings(lister, filters, tags), limit + 1))
    found: dict[Kind, int] = {
        "runs": len(runs),
        "sweeps": len(sweeps),
        "champions": len(champions),
        "retrainings": len(retrainings),
    }
    return Listing(
        shown(uri),
        runs[:limit],
        sweeps[:limit],
        champions[:limit],
        retrainings[:limit],
        [kind for kind, number in found.items() if number > limit],
    )


def state_of(version: ListedVersion) -> str:
    """Return a version's state: champion if the version has the champion alias, otherwise the state
    in its tag. The alias takes precedence because it decides which version is served.
    """
    if CHAMPION in version.aliases:
        return CHAMPION
    return version.state or VersionState.CANDIDATE.value


def final_accuracy(run: TrackedRun, measure: names.FinalMeasure) -> float | None:
    """Return one of the final accuracy measures of a run's student, in [0, 1]; None if the run has
    not logged this measure (yet).
    """
    return run.metrics.get(names.final_metric("student", measure))


# --- internals ------------------------------------------------------------------------------------


def _champions(
    lister: RecordLister, filters: Filters, tags: Mapping[str, str]
) -> list[ListedVersion]:
    if not filters.wants("champions") or filters.state not in (None, CHAMPION):
        return []
    return list(_fitting(lister.students_with(CHAMPION), filters, tags))


def _retrainings(
    lister: RecordLister, filters: Filters, tags: Mapping[str, str]
) -> Iterator[ListedVersion]:
    if filters.wants("retrainings"):
        yield from _fitting(lister.retrained_students(), filters, tags)


def _fitting(
    versions: Iterable[ListedVersion], filters: Filters, tags: Mapping[str, str]
) -> Iterator[ListedVersion]:
    return (
        version
        for version in versions
        if filters.experiment in (None, version.experiment)
        and filters.state in (None, state_of(version))
        and tags.items() <= version.tags.items()
    )


def _run_as_json(run: TrackedRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment": run.experiment,
        "state": run.status.lower(),
        "reason": run.reason,
        "started": _iso(run.started),
        "ended": _iso(run.ended),
        "seconds": run.seconds,
        "method": run.method,
        "seed": run.seed,
        "dataset": run.dataset,
        "final": {
            name.removeprefix("final/"): value
            for name, value in sorted(run.metrics.items())
            if name.startswith("final/")
        },
        "tags": {
            key: value for key, value in sorted(run.tags.items()) if not key.startswith(_OF_MLFLOW)
        },
    }


def _version_as_json(version: ListedVersion) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": int(version.version),
        "aliases": list(version.aliases),
        "state": state_of(version),
        "reason": version.reason,
        "decided_by": version.decided_by,
        "created": _iso(version.created),
        "run_id": version.run_id,
        "experiment": version.experiment,
        "dataset": version.tags.get("dataset", ""),
        "num_classes": version.num_classes,
        "last_accuracy": version.last_accuracy,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
