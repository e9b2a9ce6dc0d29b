"""Let only one of the processes that need the same stage at once compute it. The others wait, and
then load the stage from the store.

A claim saves work, but correctness does not depend on it: two processes that compute the same stage
store the same content. So if it is unknown whether the process that holds a claim is alive, the
next process proceeds instead of waiting forever.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from orchestrator.training.ranks import ALONE, Ranks

ROUND_SECONDS = 10.0


class Claims(Protocol):
    """Claims on keys of stages; each key has at most one claim holder."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Try to claim a key, waiting at most `patience_seconds` for other holders. Return whether
        the caller holds the claim now.

        Args:
            key: Key to claim.
            token: Unique id of the claim. A repeated call with the token of a claim that is already
                held returns True.
            patience_seconds: Longest time to wait.
        """

    def release(self, key: str, token: str) -> None:
        """Release the claim with a token. If the claim is not held, it can no longer be granted
        later. Claims with other tokens are not affected.
        """


class NoClaims:
    """Claims of a single run: every claim is granted at once."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Return True: the claim is granted."""
        return True

    def release(self, key: str, token: str) -> None:
        """Do nothing: no other process waits for the claim."""


NO_CLAIMS = NoClaims()


@contextmanager
def holding(claims: Claims, key: str, ranks: Ranks = ALONE) -> Iterator[None]:
    """Hold the claim on a key during a `with` block: wait until no other process holds the claim,
    and release it at the end of the block, also after an error. Not re-entrant.

    Args:
        claims: The claims; only the first rank uses them.
        key: Key to claim.
        ranks: This worker among the workers that hold the claim together.
    """
    token = uuid.uuid4().hex
    try:
        # Wait in rounds, because torch would treat a collective operation that lasts for hours as a
        # lost connection.
        while not ranks.from_first(lambda: claims.try_hold(key, token, ROUND_SECONDS)):
            pass
        yield
    finally:
        if ranks.is_first:
            claims.release(key, token)
