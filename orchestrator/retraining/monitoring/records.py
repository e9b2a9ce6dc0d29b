"""Define the record that monitoring keeps between ticks, in one small file next to the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import pydantic
from pydantic import BaseModel, ConfigDict

from orchestrator.data.growing_folder import SourceFile
from orchestrator.retraining.changes import Finding, FindingKind

MAX_LOOKS = 200
_DIGITS_OF_STAMP = 12


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Answers(_Record):
    """Summary of a champion's predictions for some images.

    Attributes:
        num_images: Number of images.
        num_agreeing: Number of images for which student and teacher predict the same class.
        closeness: The teacher's highest logit minus its mean logit, one value for each image, in
            ascending order.
        classes: Number of images by the class that the student predicts.
    """

    num_images: int
    num_agreeing: int
    closeness: tuple[float, ...]
    classes: dict[str, int]

    @property
    def agreement(self) -> float:
        """Return the share of images on which student and teacher agree."""
        return self.num_agreeing / self.num_images


class HeldOut(_Record):
    """Summary of a champion's predictions for held-out images, used as the reference for new
    images.

    Attributes:
        student: Version of the champion's student.
        max_images: Configured maximum number of held-out images.
        held_out_fraction: Held-out fraction that was configured for the source.
        num_images: Number of held-out images found.
        answers: Summary of the predictions; None if there were too few images.
    """

    student: str
    max_images: int
    held_out_fraction: float
    num_images: int
    answers: Answers | None = None

    def serves(self, student: str, max_images: int, held_out_fraction: float) -> bool:
        """Return whether this summary can serve as the reference for a champion.

        The summary must contain predictions, and its student and configuration must be the given
        ones.
        """
        own = (self.student, self.max_images, self.held_out_fraction)
        return self.answers is not None and own == (student, max_images, held_out_fraction)


class Noted(_Record):
    """A finding that results from comparing images, in the format of the monitoring record."""

    kind: FindingKind
    message: str
    classes: tuple[str, ...] = ()

    def as_finding(self) -> Finding:
        """Convert this record to a `Finding` with the reaction `warn`."""
        return Finding(self.kind, "warn", self.message, self.classes)


class Look(_Record):
    """Result of one comparison: the champion's predictions for new unlabelled images are compared
    with the champion's predictions for held-out images.

    Attributes:
        number: Number of the comparison, from 1.
        time: Time of the comparison, in seconds since 1970.
        student: Version of the champion's student.
        num_images: Number of new images.
        num_held_out: Number of held-out images with which the new images were compared.
        agreement: Share of the new images on which student and teacher agree.
        held_out_agreement: Share of the held-out images on which student and teacher agree.
        far_share: Share of the new images that are far from every class (see `signals`).
        expected_far_share: Expected value of `far_share` if the new images resemble the held-out
            images.
        class_distance: Total variation distance between the predicted classes of the new and of the
            held-out images, in [0, 1].
        findings: One finding for each bound that was crossed.
    """

    number: int
    time: float
    student: str
    num_images: int
    num_held_out: int
    agreement: float
    held_out_agreement: float
    far_share: float
    expected_far_share: float
    class_distance: float
    findings: tuple[Noted, ...] = ()


class MonitoringRecord(_Record):
    """The results of monitoring that later runs of `orchestrator retrain` need.

    Files are identified by stamps: a file's stamp changes when the file changes.

    Attributes:
        looked_at: Files that were compared, or were skipped because other files already had
            `monitoring.max_images` images.
        waiting: Files that wait until there are enough images for a comparison, with their numbers
            of images.
        damaged: Files that cannot be read completely, with the reason.
        held_out: Summary of the predictions for held-out images by the champion of the last
            comparison.
        looks: Results of the latest comparisons, the oldest first.
        num_sent: The `Look.number` of the last comparison that was sent to MLflow; 0 if no
            comparison was sent.
    """

    looked_at: frozenset[str] = frozenset()
    waiting: dict[str, int] = {}
    damaged: dict[str, str] = {}
    held_out: HeldOut | None = None
    looks: tuple[Look, ...] = ()
    num_sent: int = 0

    @classmethod
    def from_bytes(cls, content: bytes | None) -> MonitoringRecord | None:
        """Return the record that `as_bytes` serialised.

        Return an empty record if the content is None, and None if the content is invalid.
        """
        if content is None:
            return cls()
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError:
            return None

    def as_bytes(self) -> bytes:
        """Return the record as the bytes to store."""
        return self.model_dump_json(indent=1).encode()

    def of_files(self, stamps: Iterable[str]) -> MonitoringRecord:
        """Return a copy of the record that contains only the present files.

        Args:
            stamps: Stamps of the present files; a file's stamp changes when the file changes.
        """
        there = set(stamps)
        return self.model_copy(
            update={
                "looked_at": self.looked_at & there,
                "waiting": {at: num for at, num in self.waiting.items() if at in there},
                "damaged": {at: why for at, why in self.damaged.items() if at in there},
            }
        )

    def unknown(self, stamps: Sequence[str]) -> list[str]:
        """Return the stamps (identifiers of files) that this record does not contain."""
        known = self.looked_at | self.waiting.keys() | self.damaged.keys()
        return [stamp for stamp in stamps if stamp not in known]


def stamp_of(file: SourceFile) -> str:
    """Return a file's stamp: a short identifier that changes when the file is rewritten."""
    identity = f"{file.name} {file.num_bytes} {file.modified}"
    return hashlib.sha256(identity.encode()).hexdigest()[:_DIGITS_OF_STAMP]
