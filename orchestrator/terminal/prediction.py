"""Show predictions: the number of images per predicted class, and the skipped images."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.pipelines.prediction.predict import Predictions
from orchestrator.reporting.quantities import count

_MOST_NAMED = 20


def skipped_lines(found: Predictions) -> Iterator[str]:
    """Yield a line for each of the first 20 skipped images. If more were skipped, a last line gives
    the number of all others.
    """
    for one in found.skipped[:_MOST_NAMED]:
        yield f"skipped {one.image}: {one.reason}"
    if len(found.skipped) > _MOST_NAMED:
        yield f"skipped {count(len(found.skipped) - _MOST_NAMED)} more images"


def summary_line(found: Predictions) -> str:
    """Return a line with the number of images per predicted class, the most frequent class first.
    Beyond 20 classes, the rarest classes are summed up.
    """
    counts = found.counts.most_common()
    classes = [f"{count(number)} {label}" for label, number in counts[:_MOST_NAMED]]
    if len(counts) > _MOST_NAMED:
        rest = sum(number for _, number in counts[_MOST_NAMED:])
        classes.append(f"{count(rest)} of {count(len(counts) - _MOST_NAMED)} other classes")
    skipped = f"; {count(len(found.skipped))} skipped" if found.skipped else ""
    return f"{_images(found)}: {', '.join(classes)}{skipped}"


def sheet_title(found: Predictions) -> str:
    """Return the title of the picture with sample predictions: the model, as the user named it, and
    the number of classified images.
    """
    return f"{found.model}: {_images(found)}"


def _images(found: Predictions) -> str:
    number = len(found.predictions)
    return f"{count(number)} image{'' if number == 1 else 's'}"
