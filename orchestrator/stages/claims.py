"""Single flight: of all who want the same stage at once, one computes it, and the others wait and
find it in the store.

A claim saves work, it does not protect anything: two who compute the same stage store the same
content. Whoever cannot know whether a holder lives therefore lets the next one go on rather than
wait for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from orchestrator.training.ranks import ALONE, Ranks

ROUND_SECONDS = 10.0


class Claims(Protocol):
    """Knows who holds what."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Whether a claim is held now, after waiting some seconds for others to leave it.

        Args:
            key: What is claimed.
            token: Stands for this one claim, and never for another. Asked again with the same
                token, a claim that is held is held.
            patience_seconds: How long to wait at most.
        """

    def release(self, key: str, token: str) -> None:
        """Ends a claim. One that was not held (any more) is not granted later, and nobody else's is
        touched.
        """


class NoClaims:
    """For a run alone: whatever is claimed is held at once."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Always."""
        return True

    def release(self, key: str, token: str) -> None:
        """Nothing to do."""


NO_CLAIMS = NoClaims()


@contextmanager
def holding(claims: Claims, key: str, ranks: Ranks = ALONE) -> Iterator[None]:
    """Enters when nobody else holds the key, and leaves it at the end, whatever happens. It is
    re-entrant for nobody.

    Args:
        claims: Who knows; only the first rank asks.
        key: What is claimed.
        ranks: This worker among those that claim together.
    """
    token = uuid.uuid4().hex
    try:
        # in rounds: a collective that waits for hours would be taken for a lost connection
        while not ranks.from_first(lambda: claims.try_hold(key, token, ROUND_SECONDS)):
            pass
        yield
    finally:
        if ranks.is_first:
            claims.release(key, token)
