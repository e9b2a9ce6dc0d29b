"""Remove stage-store entries that have not been used for a long time, except entries that the given
experiments need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.config.experiment import Experiment
from orchestrator.stages import StageStore
from orchestrator.stages.retention import Kind, RetentionRule, StorePart, clean_up, exists


@dataclass(frozen=True)
class Amount:
    """Amount of stored data of one kind.

    Attributes:
        count: Number of stored parts, such as artifacts.
        num_bytes: Size in bytes of all files of these parts.
    """

    count: int
    num_bytes: int


@dataclass(frozen=True)
class GarbageReport:
    """Result of a clean-up.

    Attributes:
        uri: The address of the store.
        parts: Every part of the store, and whether it is removed; None if the store does not exist.
    """

    uri: str
    parts: Sequence[StorePart] | None

    def removed(self, kind: Kind) -> Amount:
        """Return the amount of removed data of one kind; in a dry run, the amount that would be
        removed.
        """
        return _amount(part for part in self.parts or () if part.kind == kind and part.goes)

    def left(self, kind: Kind) -> Amount:
        """Return the amount of data of one kind that is kept."""
        return _amount(part for part in self.parts or () if part.kind == kind and not part.goes)


def collect_garbage(
    uris: Sequence[str], experiments: Sequence[Experiment], unused_days: int, dry_run: bool
) -> list[GarbageReport]:
    """Remove from stage stores the entries that have not been used for a long time.

    Args:
        uris: Addresses of the stores; empty means the stores of the experiments.
        experiments: Experiments whose stages, evaluations and feature tables stay in every store.
        unused_days: Days after which an unused entry is removed.
        dry_run: Whether to only report which entries would be removed.

    Returns:
        One report per store.

    Raises:
        UserInputError: An experiment's data, or a store's address, is invalid; nothing was removed.
        StorageUnavailableError: A store cannot be reached, or an entry cannot be removed.
    """
    needed = _keys_of(experiments)
    now, unused = datetime.now(UTC), timedelta(days=unused_days)
    stores = [
        StageStore(uri)
        for uri in dict.fromkeys(uris or [experiment.store.uri for experiment in experiments])
    ]
    reports = []
    for store in stores:
        if not exists(store):
            reports.append(GarbageReport(store.uri, None))
            continue
        rule = RetentionRule(now, unused, _with_shared(store, needed))
        reports.append(GarbageReport(store.uri, clean_up(store, rule, dry_run)))
    return reports


def _keys_of(experiments: Sequence[Experiment]) -> frozenset[str]:
    if not experiments:
        return frozenset()
    from orchestrator.pipelines.store.needed_keys import keys_needed_by  # noqa: PLC0415 - torch takes seconds

    return frozenset(key for experiment in experiments for key in keys_needed_by(experiment))


def _with_shared(store: StageStore, needed: frozenset[str]) -> frozenset[str]:
    """Return the keys of the needed entries, and the keys of the shared artifacts that these
    entries use.
    """
    if not needed:
        return needed
    from orchestrator.stages.shared_artifacts import shared_artifacts_of  # noqa: PLC0415 - as above

    return needed | shared_artifacts_of(store, needed)


def _amount(parts: Iterable[StorePart]) -> Amount:
    sizes = [part.num_bytes for part in parts]
    return Amount(len(sizes), sum(sizes))
