"""Turn accuracy matrices, and differences between accuracy matrices, into table cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.evaluation import AccuracyMatrix
from orchestrator.figures.matrix_colours import CellColours, accuracy_colours, difference_colours
from orchestrator.reporting.quantities import percent_number, signed_points


@dataclass(frozen=True, slots=True)
class Cell:
    """Table cell: its text, and its colours as #rrggbb. The colours are the same on light and dark
    pages.
    """

    text: str
    background: str
    colour: str


Cells = list[list[Cell | None]]


def accuracy_cells(matrix: AccuracyMatrix) -> Cells:
    """Return the table cells of an accuracy matrix in percent, as a square table whose entries
    above the diagonal are None.

    Args:
        matrix: Row i has i + 1 accuracies (fractions).
    """
    return _square(
        [[_cell(percent_number(value), accuracy_colours(value)) for value in row] for row in matrix]
    )


def difference_cells(matrix: AccuracyMatrix, reference: AccuracyMatrix) -> Cells:
    """Return the table cells of the difference between two accuracy matrices, in signed percentage
    points. The table covers only the tasks that both matrices have.

    Args:
        matrix: Row i has i + 1 accuracies (fractions).
        reference: The accuracy matrix to subtract from `matrix`, with the same row lengths.
    """
    rows = zip(matrix, reference, strict=False)
    differences = [
        [value - before for value, before in zip(row, earlier, strict=True)]
        for row, earlier in rows
    ]
    return _square(
        [
            [_cell(signed_points(value), difference_colours(value)) for value in row]
            for row in differences
        ]
    )


def _square(rows: Sequence[Sequence[Cell]]) -> Cells:
    return [[*row, *[None] * (len(rows) - len(row))] for row in rows]


def _cell(text: str, colours: CellColours) -> Cell:
    return Cell(text, colours.background, colours.text)
