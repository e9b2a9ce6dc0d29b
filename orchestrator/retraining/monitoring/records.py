"""The record that monitoring keeps from tick to tick: one small file next to the journal."""

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
    """Summary of a champion's answers for some images.

    Attributes:
        num_images: Number of images.
        num_agreeing: Number of images for which student and teacher predict the same class.
        closeness: The teacher's highest logit minus the mean of its logits, by image, ascending.
        classes: Number of images that the student assigns to each class.
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
    """A champion's answers for held-out images, with which its answers for new images are compared.

    Attributes:
        student: Version of the champion's student.
        max_images: Maximum number of images to take.
        held_out_fraction: Held-out fraction that was configured for the source.
        num_images: Number of held-out images found.
        answers: The champion's answers; None if there were too few images.
    """

    student: str
    max_images: int
    held_out_fraction: float
    num_images: int
    answers: Answers | None = None

    def serves(self, student: str, max_images: int, held_out_fraction: float) -> bool:
        """Return whether these answers are still valid for a champion and a configuration."""
        own = (self.student, self.max_images, self.held_out_fraction)
        return self.answers is not None and own == (student, max_images, held_out_fraction)


class Noted(_Record):
    """A finding of a comparison of images, in the form in which the monitoring record stores it."""

    kind: FindingKind
    message: str
    classes: tuple[str, ...] = ()

    def as_finding(self) -> Finding:
        """Return the finding; monitoring only warns."""
        return Finding(self.kind, "warn", self.message, self.classes)


class Look(_Record):
    """Result of a look: a comparison of new unlabelled images with held-out images, made by the
    champion at the time of the look.

    Attributes:
        number: Number of the look, from 1.
        time: Time of the look, in seconds since 1970.
        student: Version of the champion's student.
        num_images: Number of new images.
        num_held_out: Number of held-out images with which the new images were compared.
        agreement: Share of the new images on which student and teacher agree.
        held_out_agreement: Share of the held-out images on which student and teacher agree.
        far_share: Share of the new images that are far from every class.
        expected_far_share: Expected value of `far_share` if new images are like held-out ones.
        class_distance: Total variation distance of the predicted classes from those of the held-out
            images, in [0, 1].
        findings: The bounds that were crossed.
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
    """All that monitoring remembers. Files are identified by their stamps.

    Attributes:
        looked_at: Files whose images were looked at, or skipped because there were too many.
        waiting: Files that wait for more images, with the number of their images.
        damaged: Files that cannot be read completely, with the reason.
        held_out: Answers for held-out images, given by the champion of the last look.
        looks: The latest looks, in order.
        num_sent: Number of the last look that was sent to MLflow.
    """

    looked_at: frozenset[str] = frozenset()
    waiting: dict[str, int] = {}
    damaged: dict[str, str] = {}
    held_out: HeldOut | None = None
    looks: tuple[Look, ...] = ()
    num_sent: int = 0

    @classmethod
    def from_bytes(cls, content: bytes | None) -> MonitoringRecord | None:
        """Return the record that `as_bytes` serialised; an empty record if the content is None;
        None if the content is invalid.
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
        """Return the record without files that are no longer present."""
        there = set(stamps)
        return self.model_copy(
            update={
                "looked_at": self.looked_at & there,
                "waiting": {at: num for at, num in self.waiting.items() if at in there},
                "damaged": {at: why for at, why in self.damaged.items() if at in there},
            }
        )

    def unknown(self, stamps: Sequence[str]) -> list[str]:
        """Return the stamps of files that were never read."""
        known = self.looked_at | self.waiting.keys() | self.damaged.keys()
        return [stamp for stamp in stamps if stamp not in known]


def stamp_of(file: SourceFile) -> str:
    """Return a short identifier that changes when the file is rewritten."""
    identity = f"{file.name} {file.num_bytes} {file.modified}"
    return hashlib.sha256(identity.encode()).hexdigest()[:_DIGITS_OF_STAMP]
