"""Garbage collection: what nobody has used for long leaves the stage store; what named experiments
need stays.
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
    """How much of something there is.

    Attributes:
        count: Parts of a store.
        num_bytes: Of all their files.
    """

    count: int
    num_bytes: int


@dataclass(frozen=True)
class GarbageReport:
    """What was in a store, and what went.

    Attributes:
        uri: The store's.
        parts: Every part with its judgement; None when there is no store at this address.
    """

    uri: str
    parts: Sequence[StorePart] | None

    def removed(self, kind: Kind) -> Amount:
        """What went of one kind; in a dry run, what would."""
        return _amount(part for part in self.parts or () if part.kind == kind and part.goes)

    def left(self, kind: Kind) -> Amount:
        """What stays of one kind."""
        return _amount(part for part in self.parts or () if part.kind == kind and not part.goes)


def collect_garbage(
    uris: Sequence[str], experiments: Sequence[Experiment], unused_days: int, dry_run: bool
) -> list[GarbageReport]:
    """Removes from stage stores what nobody has used for long.

    Args:
        uris: The stores; none means those of the experiments.
        experiments: Whatever their stages, evaluations and tables of features are, they stay in
            every store.
        unused_days: How long something may lie unused.
        dry_run: Only look.

    Returns:
        One report a store.

    Raises:
        UserInputError: An experiment's data, or a store's address, cannot be used; nothing has been
            removed.
        StorageUnavailableError: A store cannot be reached, or something in it cannot be removed.
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
    """Return the keys, and those of the shared artifacts of a store from which they come."""
    if not needed:
        return needed
    from orchestrator.stages.shared_artifacts import shared_artifacts_of  # noqa: PLC0415 - as above

    return needed | shared_artifacts_of(store, needed)


def _amount(parts: Iterable[StorePart]) -> Amount:
    sizes = [part.num_bytes for part in parts]
    return Amount(len(sizes), sum(sizes))
