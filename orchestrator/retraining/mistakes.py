"""Describe the mistakes of a candidate's student in words, to explain a verdict of the gate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from orchestrator.retraining.evidence import Evidence

_MOST_NAMED = 3


@dataclass(frozen=True)
class Mistake:
    """A pair of classes that the student confuses, with the number of such mistakes.

    Attributes:
        label: The true class.
        predicted: The predicted class.
        num_images: Number of held-out images that the candidate's student confuses in this way.
        num_held_out: Number of all held-out images of the true class.
        num_before: Number of held-out images that the champion's student confuses in this way; None
            unless both classes are among the champion's classes.
    """

    label: str
    predicted: str
    num_images: int
    num_held_out: int
    num_before: int | None

    def __str__(self) -> str:
        before = "" if self.num_before is None else f", by the champion {self.num_before}"
        counted = f"{self.num_images} of {self.num_held_out}{before}"
        return f"{self.label} for {self.predicted} ({counted})"


def find_mistakes(evidence: Evidence) -> list[Mistake]:
    """Return the mistakes of the candidate's student, the most frequent first.

    Frequency is measured as a share of the true class's held-out images.
    """
    own, labels = evidence.predictions["student"], evidence.labels
    held_out = Counter(labels.tolist())
    cells = Counter(zip(labels.tolist(), own.among_all.tolist(), strict=True))
    before: Counter[tuple[int, int]] = Counter()
    if own.champion is not None:
        before.update(zip(labels[evidence.is_old].tolist(), own.champion.tolist(), strict=True))
    names = evidence.known.class_names
    mistakes = [
        Mistake(
            names[label],
            names[predicted],
            num,
            held_out[label],
            before[label, predicted]
            if own.champion is not None and max(label, predicted) < evidence.num_old
            else None,
        )
        for (label, predicted), num in sorted(cells.items())
        if label != predicted
    ]
    return sorted(mistakes, key=lambda it: (-it.num_images / it.num_held_out, -it.num_images))


def mistakes_in_words(evidence: Evidence) -> str:
    """Return the worst mistakes as text to append to a reason; empty if there are no mistakes."""
    worst = find_mistakes(evidence)[:_MOST_NAMED]
    return f"; the student mistakes {', '.join(map(str, worst))}" if worst else ""
