"""Accuracy matrices as the cells of a table, and what one has over another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.colors import LinearSegmentedColormap, to_hex

from orchestrator.evaluation import AccuracyMatrix
from orchestrator.figures.heat_map import cell_colour, readable_on
from orchestrator.reporting.quantities import percent_number, signed_points

# Worse, equal, better: told apart with every kind of colour blindness, and by the sign that stands
# in each cell.
_DIFFERENCES = LinearSegmentedColormap.from_list(
    "difference", ["#7a2f00", "#d9853b", "#f2f2f0", "#4f94c4", "#06304f"]
)
_FULL_DIFFERENCE = 0.3
_SPREAD = 0.6  # small differences are what one looks for


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell, and its colours (#rrggbb): the same on a light and on a dark page."""

    text: str
    background: str
    colour: str


Cells = list[list[Cell | None]]


def accuracy_cells(matrix: AccuracyMatrix) -> Cells:
    """A square of cells, None above the diagonal.

    Args:
        matrix: Row i has i + 1 accuracies (fractions).
    """
    return _square(
        [[_cell(percent_number(value), cell_colour(value)) for value in row] for row in matrix]
    )


def difference_cells(matrix: AccuracyMatrix, reference: AccuracyMatrix) -> Cells:
    """What a matrix has over another one, in points with the sign, as far as both go.

    Args:
        matrix: Row i has i + 1 accuracies (fractions).
        reference: Likewise.
    """
    rows = zip(matrix, reference, strict=False)
    differences = [
        [value - before for value, before in zip(row, earlier, strict=True)]
        for row, earlier in rows
    ]
    return _square(
        [
            [_cell(signed_points(value), _difference_colour(value)) for value in row]
            for row in differences
        ]
    )


def _square(rows: Sequence[Sequence[Cell]]) -> Cells:
    return [[*row, *[None] * (len(rows) - len(row))] for row in rows]


def _cell(text: str, background: tuple[float, float, float]) -> Cell:
    return Cell(text, to_hex(background), to_hex(readable_on(background)))


def _difference_colour(difference: float) -> tuple[float, float, float]:
    strength = min(1.0, abs(difference) / _FULL_DIFFERENCE) ** _SPREAD
    red, green, blue, _ = _DIFFERENCES(0.5 + math.copysign(strength / 2, difference))
    return red, green, blue
