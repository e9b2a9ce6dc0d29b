"""Let only one process compute a stage that several processes need at the same time. The other
processes wait, and then load the stage from the store.

A claim on a key is the exclusive right to compute the stage with this key. Claims save work, but
correctness does not depend on claims: two processes that compute the same stage store the same
content. So a process may compute a stage without a claim if the claim holder has possibly died.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from orchestrator.training.ranks import ALONE, Ranks

ROUND_SECONDS = 10.0


class Claims(Protocol):
    """Claims, the exclusive rights to compute results with given keys. At most one process holds
    the claim on a key.
    """

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Try to take the claim on a key, the exclusive right to compute the result with this key.
        Wait at most `patience_seconds` while another process holds the claim. Return whether the
        claim is granted.

        Args:
            key: Key of the result, such as a stage.
            token: Unique id of the claim. A repeated call with the token of a claim that is already
                held returns True.
            patience_seconds: Longest time to wait.
        """

    def release(self, key: str, token: str) -> None:
        """Release the claim with a token. If the request for this claim arrives after its release,
        the claim is not granted. Claims with other tokens are not affected.
        """


class NoClaims:
    """Claims (exclusive rights to compute a result) for a run that shares its stages with no other
    run: every claim is granted at once.
    """

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Return True: the claim is granted."""
        return True

    def release(self, key: str, token: str) -> None:
        """Do nothing: no other process waits for the claim."""


NO_CLAIMS = NoClaims()


@contextmanager
def holding(claims: Claims, key: str, ranks: Ranks = ALONE) -> Iterator[None]:
    """Hold the claim on a key, the exclusive right to compute the result with this key, during a
    `with` block. Wait until no other process holds the claim. Release the claim at the end of the
    block, also after an error. Not re-entrant.

    Args:
        claims: Grants and releases the claim; only the first rank calls it.
        key: Key of the result, such as a stage.
        ranks: Rank of this worker in the group of workers that hold the claim together.
    """
    token = uuid.uuid4().hex
    try:
        # All ranks wait for the claim in short rounds: torch would treat one collective operation
        # that lasts for hours as a lost connection.
        while not ranks.from_first(lambda: claims.try_hold(key, token, ROUND_SECONDS)):
            pass
        yield
    finally:
        if ranks.is_first:
            claims.release(key, token)
