"""What a model has learned, from which files: travels with it through the registry, and is all that
the next tick goes by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from orchestrator.config.path_within import PathWithin
from orchestrator.config.roles import Role
from orchestrator.config.scenario import Label, LearnedTasksConfig

_SKETCH_SIZE = 64


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TakenFile(_Record):
    """A file of the source as it was when it was read.

    Attributes:
        name: Path within the source.
        sha256: Of its content.
        num_bytes: Its size.
        modified: When it was written, in seconds since 1970.
        delivery: With which delivery it came; 1 is the first.
        num_images: By class.
        num_held_out: Of these, by class; None in lineages that were written without.
    """

    name: PathWithin
    sha256: str
    num_bytes: int
    modified: float
    delivery: int
    num_images: dict[str, int]
    num_held_out: dict[str, int] | None = None


class UnlabeledTakenFile(_Record):
    """A file without labels as it was when it was read.

    Attributes:
        name: Path within the folder of images without labels.
        sha256: Of its content.
        num_bytes: Its size.
        modified: When it was written, in seconds since 1970.
    """

    name: PathWithin
    sha256: str
    num_bytes: int
    modified: float


class QuarantinedFile(_Record):
    """A file that is left out for as long as it stays as it is.

    Attributes:
        name: Path within the source.
        sha256: Of its content.
        reason: Why the candidate that learned from it was rejected.
    """

    name: PathWithin
    sha256: str
    reason: str


class Lineage(_Record):
    """All that a champion, or a candidate, has learned so far.

    Attributes:
        files: Of all deliveries, in their order.
        tasks: The labels of every task, in the order of learning.
        deliveries: For each known class, the last delivery of which it was learned.
        sketches: For each known class, the smallest digests of its images: enough to know it again
            under another name.
        quarantined: Files left out when this was learned.
        weights: What tells the pre-trained weights that its backbones began with from others, by
            role; empty where nobody noted it.
        unlabeled: Files without labels that it learned from, the longest known first.
        learned: The last stages, and both accuracy matrices; None in a draft.
    """

    files: tuple[TakenFile, ...] = ()
    tasks: tuple[tuple[Label, ...], ...] = ()
    deliveries: dict[str, int] = {}
    sketches: dict[str, tuple[str, ...]] = {}
    quarantined: tuple[QuarantinedFile, ...] = ()
    weights: dict[Role, str] = {}
    unlabeled: tuple[UnlabeledTakenFile, ...] = ()
    learned: LearnedTasksConfig | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """All known classes, in the order of learning."""
        return tuple(str(label) for task in self.tasks for label in task)

    @property
    def last_delivery(self) -> int:
        """Number of the newest delivery; 0 before the first."""
        return max((file.delivery for file in self.files), default=0)

    def num_learned_from(self, label: str) -> int:
        """Images of a class in the deliveries of which it was learned, held-out ones among them."""
        return sum(
            file.num_images.get(label, 0)
            for file in self.files
            if file.delivery <= self.deliveries[label]
        )


def sketch(digests: Iterable[bytes]) -> tuple[str, ...]:
    """The smallest digests of some images (a bottom-k sketch, Cohen & Kaplan 2007): equal images,
    equal sketches.
    """
    return tuple(digest[:8].hex() for digest in sorted(set(digests))[:_SKETCH_SIZE])


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Estimated share of the smaller set's images that the other set has as well, in [0, 1].

    Digests below both sketches' largest ones are known completely in either.
    """
    if not one or not other:
        return 0.0
    limit = min(
        max(one) if len(one) == _SKETCH_SIZE else "g",
        max(other) if len(other) == _SKETCH_SIZE else "g",
    )
    first, second = ({digest for digest in digests if digest <= limit} for digests in (one, other))
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0
