"""Put the mistakes of a candidate's student into words, for the gate's reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from orchestrator.retraining.evidence import Evidence

_MOST_NAMED = 3


@dataclass(frozen=True)
class Mistake:
    """Count held-out images of a class that are taken for another one.

    Attributes:
        label: The class that they show.
        predicted: The class that they are taken for.
        num_images: So many by the candidate.
        num_held_out: Of so many held-out images of the class.
        num_before: So many by the champion; None where it does not know both classes.
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
    """Return what the candidate's student takes for what, the largest share of a class first."""
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
    """Return the worst mistakes as the end of a sentence; empty where there are none."""
    worst = find_mistakes(evidence)[:_MOST_NAMED]
    return f"; the student takes {', '.join(map(str, worst))}" if worst else ""
