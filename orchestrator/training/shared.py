"""Share results that several stages, trials and runs would otherwise each compute identically."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from orchestrator.models.artifact import Artifact


@runtime_checkable
class Shared(Protocol):
    """Store of results that stages share."""

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Return the stored artifact of a content; if it is missing, compute it and store it.

        Args:
            content: Everything that determines the artifact, as JSON values.
            compute: Function that computes the artifact, called on all ranks together.
        """


class NotShared:
    """Store of shared results that keeps nothing, so that no result is shared; for notebooks and
    tests.
    """

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Compute the artifact without storing it."""
        return compute()
