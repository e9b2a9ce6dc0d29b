"""Keep results that several stages share, such as features of images, as artifacts in the stage
store.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.models.artifact import Artifact
from orchestrator.stages.claims import NO_CLAIMS, Claims, holding
from orchestrator.stages.cost_notes import SHARED, note_cost
from orchestrator.stages.store import StageStore
from orchestrator.training.ranks import ALONE, Ranks

SHARED_FORMAT = 1


class SharedInStore:
    """Keep artifacts that several stages share, such as features of images, in the stage store. The
    key of an artifact is a hash of everything that determines the artifact.
    """

    def __init__(self, store: StageStore, ranks: Ranks = ALONE, claims: Claims = NO_CLAIMS) -> None:
        """Keep the arguments without reading the store.

        Args:
            store: Store of the artifacts.
            ranks: Rank of this worker in the group of workers that compute the artifacts together.
            claims: Locks that let only one process at a time compute a given artifact.
        """
        self._store = store
        self._ranks = ranks
        self._claims = claims
        self._used: dict[str, None] = {}
        self._seconds = 0.0

    def take_used(self) -> list[str]:
        """Return the keys of the artifacts obtained since the last call."""
        used, self._used = list(self._used), {}
        return used

    def take_seconds(self) -> float:
        """Return how many seconds the computation of artifacts has taken since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Return a shared artifact from the store; compute and store the artifact if it is missing.

        Args:
            content: JSON values that determine the artifact; the key is their hash.
            compute: Computes the artifact.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        key = _key_of(content)
        self._used[key] = None
        found = self._read(key)
        if found is None:
            with holding(self._claims, key, self._ranks):
                found = self._read(key)
                if found is None:
                    found = self._computed(compute)
                    if self._ranks.is_first:
                        self._store.save(key, found)
                        note_cost(self._store, found.values)
        return found

    def _computed(self, compute: Callable[[], Artifact]) -> Artifact:
        """Compute an artifact, and add the duration of the computation to its values. The duration
        excludes the computation of other shared artifacts that this artifact needs.
        """
        started, before = time.perf_counter(), self._seconds
        found = compute()
        seconds = time.perf_counter() - started - (self._seconds - before)
        self._seconds += seconds
        cost = {"seconds": seconds, "num_train_workers": self._ranks.size}
        return replace(found, values={**found.values, **cost})

    def _read(self, key: str) -> Artifact | None:
        if not self._ranks.from_first(lambda: self._store.values_of(key) is not None):
            return None
        found = self._store.load_mapped(key)
        if not all(self._ranks.values_of_all(found is not None)):
            return None
        if self._ranks.is_first:
            self._store.note_use([key])
        return found


def shared_artifacts_of(store: StageStore, keys: Iterable[str]) -> frozenset[str]:
    """Return the keys of the shared artifacts from which stages and evaluations were computed.

    Args:
        store: A store with all or some of these stages and evaluations.
        keys: Keys of stages and evaluations.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    found = (store.values_of(key) or {} for key in keys)
    return frozenset(key for values in found for key in values.get(SHARED, ()))


def _key_of(content: Mapping[str, Any]) -> str:
    whole = {"format": SHARED_FORMAT, "shared": dict(content)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
