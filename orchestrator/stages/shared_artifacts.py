"""Artifacts that several stages share, in the stage store beside the stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.models.artifact import Artifact
from orchestrator.stages.claims import NO_CLAIMS, Claims, holding
from orchestrator.stages.store import StageStore
from orchestrator.training.ranks import ALONE, Ranks

SHARED_FORMAT = 1


class SharedInStore:
    """Keeps artifacts under a hash of all that they depend on."""

    def __init__(self, store: StageStore, ranks: Ranks = ALONE, claims: Claims = NO_CLAIMS) -> None:
        """Read nothing yet.

        Args:
            store: Where they are kept.
            ranks: This worker among those that compute together.
            claims: Of all who may want the same artifact at the same time.
        """
        self._store = store
        self._ranks = ranks
        self._claims = claims

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Return a kept artifact, or compute and keep it.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        key = _key_of(content)
        found = self._read(key)
        if found is None:
            with holding(self._claims, key, self._ranks):
                found = self._read(key)
                if found is None:
                    found = compute()
                    if self._ranks.is_first:
                        self._store.save(key, found)
        return found

    def _read(self, key: str) -> Artifact | None:
        if not self._ranks.from_first(lambda: self._store.values_of(key) is not None):
            return None
        found = self._store.load_mapped(key)
        if not all(self._ranks.values_of_all(found is not None)):
            return None
        if self._ranks.is_first:
            self._store.note_use([key])
        return found


def _key_of(content: Mapping[str, Any]) -> str:
    whole = {"format": SHARED_FORMAT, "shared": dict(content)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
