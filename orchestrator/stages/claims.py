"""Single flight: of all processes that need the same stage at once, one computes it; the others
wait and find it in the store.

A claim saves work; it is not a lock for safety: two processes that compute the same stage store the
same content. If the state of a holder is unknown, the next process therefore proceeds instead of
waiting forever.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from orchestrator.training.ranks import ALONE, Ranks

ROUND_SECONDS = 10.0


class Claims(Protocol):
    """Claims on keys, each with at most one holder."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Return whether the claim is held now, after waiting at most some seconds for others.

        Args:
            key: Key to claim.
            token: Identifies this claim, and no other. Repeating the call with the token of a held
                claim returns True.
            patience_seconds: Longest time to wait.
        """

    def release(self, key: str, token: str) -> None:
        """Release a claim. A claim that is not (or no longer) held will not be granted later;
        claims of others are not affected.
        """


class NoClaims:
    """Claims of a single run: every claim is granted at once."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Return True."""
        return True

    def release(self, key: str, token: str) -> None:
        """Do nothing."""


NO_CLAIMS = NoClaims()


@contextmanager
def holding(claims: Claims, key: str, ranks: Ranks = ALONE) -> Iterator[None]:
    """Hold a key inside a block: wait until no one else holds it, and release it afterwards in any
    case. Not re-entrant.

    Args:
        claims: The claims; only the first rank uses them.
        key: Key to claim.
        ranks: This worker among those that claim together.
    """
    token = uuid.uuid4().hex
    try:
        # in rounds: a collective that waited for hours would look like a lost connection
        while not ranks.from_first(lambda: claims.try_hold(key, token, ROUND_SECONDS)):
            pass
        yield
    finally:
        if ranks.is_first:
            claims.release(key, token)
