"""Draw the training images with the most suspicious labels: labels that the teacher or the student
contradicts, and to which both together assign the lowest probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from orchestrator.evaluation.suspicious_labels import MOST_SHOWN
from orchestrator.figures.palette import INK, MUTED

_COLUMNS = 8
_SIDE_INCHES = 1.0
_WIDTH_INCHES = 1.35
_TEXT_INCHES = 0.52
_MARGIN_INCHES = 0.15
_TITLE_INCHES = 0.45
_MAX_NAME = 18


@dataclass(frozen=True)
class ShownLabel:
    """Training image with its given label and the predictions of teacher and student.

    Attributes:
        image: The image as uint8 (channels, height, width).
        label: The given label.
        teacher_says: The label that the teacher predicts.
        student_says: The label that the student predicts.
        doubt: 1 minus the mean probability that teacher and student assign to the given label.
    """

    image: npt.NDArray[np.uint8]
    label: str
    teacher_says: str
    student_says: str
    doubt: float


def suspicious_labels_figure(labels: Sequence[ShownLabel], num_listed: int) -> Figure:
    """Draw at most 40 images with suspicious labels, in rows of eight. Below each image are its
    given label and the labels that the models predict.

    Args:
        labels: At least one suspicious label, the most doubted label first.
        num_listed: Number of all suspicious labels that the run lists, named in the title.
    """
    shown = labels[:MOST_SHOWN]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    cell = _SIDE_INCHES + _TEXT_INCHES
    width = max(4.0, columns * _WIDTH_INCHES + 2 * _MARGIN_INCHES)
    height = rows * cell + _TITLE_INCHES + _MARGIN_INCHES
    figure = Figure(figsize=(width, height), dpi=150)
    figure.text(
        _MARGIN_INCHES / width,
        1 - _TITLE_INCHES / 2 / height,
        f"The {len(shown)} most doubted of {num_listed} suspicious labels"
        if num_listed > len(shown)
        else f"Suspicious labels: {num_listed}",
        va="center",
        fontsize=11,
        color=INK,
    )
    for place, label in enumerate(shown):
        row, column = divmod(place, columns)
        top = height - _TITLE_INCHES - row * cell
        _draw(figure, label, _MARGIN_INCHES + column * _WIDTH_INCHES, top)
    return figure


def _draw(figure: Figure, label: ShownLabel, left: float, top: float) -> None:
    """Draw one image and the texts below it.

    Args:
        figure: The figure to draw into.
        label: The image with its labels.
        left: Distance of the image's column from the left border of the figure, in inches.
        top: Distance of the image's upper border from the bottom of the figure, in inches.
    """
    width, height = figure.get_size_inches()
    margin = (_WIDTH_INCHES - _SIDE_INCHES) / 2
    axes = figure.add_axes(
        (
            (left + margin) / width,
            (top - _SIDE_INCHES) / height,
            _SIDE_INCHES / width,
            _SIDE_INCHES / height,
        )
    )
    axes.imshow(
        np.moveaxis(label.image, 0, 2), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set_axis_off()
    answers = dict.fromkeys([label.teacher_says, label.student_says])
    lines = (
        (f"{_short(label.label)} ({label.doubt:.0%})", INK),
        (f"rather {_short(' or '.join(answers))}", MUTED),
    )
    for line, (text, colour) in enumerate(lines):
        figure.text(
            (left + _WIDTH_INCHES / 2) / width,
            (top - _SIDE_INCHES - 0.13 - 0.15 * line) / height,
            text,
            ha="center",
            va="center",
            fontsize=7.5,
            color=colour,
        )


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
