"""What a person sees of predictions: counts, and the images that were skipped."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.prediction.predict import Predictions
from orchestrator.reporting.quantities import count

_MOST_NAMED = 20


def skipped_lines(found: Predictions) -> Iterator[str]:
    """Yield a line for each skipped image, of many for the first ones."""
    for one in found.skipped[:_MOST_NAMED]:
        yield f"skipped {one.image}: {one.reason}"
    if len(found.skipped) > _MOST_NAMED:
        yield f"skipped {count(len(found.skipped) - _MOST_NAMED)} more images"


def summary_line(found: Predictions) -> str:
    """Return how many images each class has, the most frequent class first."""
    classes = ", ".join(f"{count(number)} {label}" for label, number in found.counts.most_common())
    skipped = f"; {count(len(found.skipped))} skipped" if found.skipped else ""
    return f"{count(len(found.predictions))} images: {classes}{skipped}"
