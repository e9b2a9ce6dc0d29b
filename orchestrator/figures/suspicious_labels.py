"""Draw the training images whose labels teacher and student doubt most."""

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
    """Image with its label and the answers of the models.

    Attributes:
        image: uint8 (channels, height, width).
        label: The given label.
        teacher_says: The label that the teacher gives.
        student_says: The label that the student gives.
        doubt: Doubt of the label, in [0, 1].
    """

    image: npt.NDArray[np.uint8]
    label: str
    teacher_says: str
    student_says: str
    doubt: float


def suspicious_labels_figure(labels: Sequence[ShownLabel], num_listed: int) -> Figure:
    """Draw at most 40 images in rows of eight, each above its label and the models' answers.

    Args:
        labels: At least one label, the most doubted first.
        num_listed: Total number of listed labels.
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
    """Draw one image with its texts; `left` and `top` are in inches from the lower left corner."""
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
