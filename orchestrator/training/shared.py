"""Share what several stages, trials and runs would compute in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from orchestrator.models.artifact import Artifact


@runtime_checkable
class Shared(Protocol):
    """Finds what was computed before."""

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Return an artifact: one that was kept, or else the one that is computed now.

        Args:
            content: All that the artifact depends on, as JSON values.
            compute: Gives it; all ranks compute together.
        """


class NotShared:
    """Keeps nothing: for notebooks and tests."""

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """Compute the artifact."""
        return compute()
