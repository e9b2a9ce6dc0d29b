"""Describe the mistakes of a candidate's student in words, for the gate's reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from orchestrator.retraining.evidence import Evidence

_MOST_NAMED = 3


@dataclass(frozen=True)
class Mistake:
    """A class that is mistaken for another one, with the numbers of held-out images.

    Attributes:
        label: The true class.
        predicted: The predicted class.
        num_images: Number of such mistakes of the candidate.
        num_held_out: Number of held-out images of the true class.
        num_before: Number of such mistakes of the champion; None if the champion does not know both
            classes.
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
    """Return the mistakes of the candidate's student, ordered by their share of the true class's
    images, the largest first.
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
    """Return the worst mistakes as the end of a sentence; empty if there are none."""
    worst = find_mistakes(evidence)[:_MOST_NAMED]
    return f"; the student mistakes {', '.join(map(str, worst))}" if worst else ""
