"""Show predictions: counts per class, and the skipped images."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.prediction.predict import Predictions
from orchestrator.reporting.quantities import count

_MOST_NAMED = 20


def skipped_lines(found: Predictions) -> Iterator[str]:
    """Yield a line for each skipped image, up to a maximum, and then the number of further skipped
    images.
    """
    for one in found.skipped[:_MOST_NAMED]:
        yield f"skipped {one.image}: {one.reason}"
    if len(found.skipped) > _MOST_NAMED:
        yield f"skipped {count(len(found.skipped) - _MOST_NAMED)} more images"


def summary_line(found: Predictions) -> str:
    """Return the number of images per class, most frequent class first; for many classes, only the
    first ones.
    """
    counts = found.counts.most_common()
    classes = [f"{count(number)} {label}" for label, number in counts[:_MOST_NAMED]]
    if len(counts) > _MOST_NAMED:
        rest = sum(number for _, number in counts[_MOST_NAMED:])
        classes.append(f"{count(rest)} of {count(len(counts) - _MOST_NAMED)} other classes")
    skipped = f"; {count(len(found.skipped))} skipped" if found.skipped else ""
    return f"{_images(found)}: {', '.join(classes)}{skipped}"


def sheet_title(found: Predictions) -> str:
    """Return the model as the user named it, and the number of classified images."""
    return f"{found.model}: {_images(found)}"


def _images(found: Predictions) -> str:
    number = len(found.predictions)
    return f"{count(number)} image{'' if number == 1 else 's'}"
