"""A model's lineage: what the model has learned, and from which files.

The lineage is stored with the model in the registry. The next run of `orchestrator retrain`
compares the source with the lineage.
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
    """A labelled file of the source, as it was at the time of reading.

    Attributes:
        name: Path within the source.
        sha256: Digest of the file's content.
        num_bytes: Size of the file.
        modified: Time at which the file was written, in seconds since 1970.
        delivery: Number, from 1, of the file's delivery. A delivery consists of the files that were
            new to the same candidate.
        num_images: Number of images by class.
        num_held_out: Number of held-out images by class; None in lineages written before this field
            existed.
    """

    name: PathWithin
    sha256: str
    num_bytes: int
    modified: float
    delivery: int
    num_images: dict[str, int]
    num_held_out: dict[str, int] | None = None


class UnlabeledTakenFile(_Record):
    """A file of images without labels, as it was at the time of reading.

    Attributes:
        name: Path within the folder of images without labels.
        sha256: Digest of the file's content.
        num_bytes: Size of the file.
        modified: Time at which the file was written, in seconds since 1970.
    """

    name: PathWithin
    sha256: str
    num_bytes: int
    modified: float


class QuarantinedFile(_Record):
    """A file that is skipped until its content changes.

    Attributes:
        name: Path within the source.
        sha256: Digest of the file's content.
        reason: Reason for skipping the file, such as the rejection of the candidate that learned
            from it.
    """

    name: PathWithin
    sha256: str
    reason: str


class Lineage(_Record):
    """Everything that a champion or a candidate has learned so far.

    Attributes:
        files: Labelled files of all deliveries, in order. A delivery consists of the files that
            were new to the same candidate.
        tasks: Labels of each task, in the order of learning.
        deliveries: For each known class, the number of the last delivery from which the class was
            learned.
        sketches: For each known class, the smallest digests of its images. These digests reveal a
            class that arrives again under another name.
        quarantined: Files that were skipped when the model learned.
        weights: Identity of the pre-trained weights of each backbone, by role; empty if the
            identities were not recorded.
        unlabeled: Files without labels from which the model learned, in the order in which the
            files became known.
        learned: Last stages and accuracy matrices of both roles; None before training.
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
        """Return all known classes, in the order of learning."""
        return tuple(str(label) for task in self.tasks for label in task)

    @property
    def last_delivery(self) -> int:
        """Return the number of the last delivery (group of new files), or 0 without deliveries."""
        return max((file.delivery for file in self.files), default=0)

    def num_learned_from(self, label: str) -> int:
        """Count a class's images in the files from which the class was learned, including held-out
        images.
        """
        return sum(
            file.num_images.get(label, 0)
            for file in self.files
            if file.delivery <= self.deliveries[label]
        )


def sketch(digests: Iterable[bytes]) -> tuple[str, ...]:
    """Return the smallest digests of a set of images, to compare the set with other sets.

    These digests are a bottom-k sketch (Cohen & Kaplan 2007): equal sets have equal sketches.
    """
    return tuple(digest[:8].hex() for digest in sorted(set(digests))[:_SKETCH_SIZE])


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Estimate which share of the smaller of two image sets is also in the larger set, in [0, 1].

    Each set is given as a sketch (see `sketch`), which contains only the smallest digests of a
    large set. So only the range of digests that both sketches cover is compared.
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
