from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from orchestrator.figures.matrix_colours import luminance
from orchestrator.reporting.matrices import Cell, accuracy_cells, difference_cells


def cells_of(rows: list[list[Cell | None]]) -> list[Cell]:
    return [cell for row in rows for cell in row if cell is not None]


def test_cells_above_the_diagonal_are_empty() -> None:
    cells = accuracy_cells([[1.0], [0.5, 0.25]])
    assert [[cell and cell.text for cell in row] for row in cells] == [
        ["100.0", None],
        ["50.0", "25.0"],
    ]
    assert accuracy_cells([]) == []


def test_a_difference_is_in_points_for_the_rows_that_both_matrices_have() -> None:
    cells = difference_cells([[1.0], [0.5, 0.25]], [[0.9], [0.5, 0.5], [0.1, 0.2, 0.3]])
    assert [[cell and cell.text for cell in row] for row in cells] == [
        ["+10.0", None],
        ["0.0", "−25.0"],
    ]


def test_better_is_blue_worse_is_orange() -> None:
    better, worse = (
        cells_of(difference_cells([[0.5 + change]], [[0.5]]))[0] for change in (0.1, -0.1)
    )
    red, _, blue = to_rgb(better.background)
    assert blue > red
    red, _, blue = to_rgb(worse.background)
    assert red > blue


@given(st.floats(0, 1), st.floats(0, 1))
def test_text_is_readable_on_every_cell(accuracy: float, other: float) -> None:
    for cell in [
        *cells_of(accuracy_cells([[accuracy]])),
        *cells_of(difference_cells([[accuracy]], [[other]])),
    ]:
        dark, light = sorted(luminance(to_rgb(colour)) for colour in (cell.background, cell.colour))
        assert (light + 0.05) / (dark + 0.05) >= 4.5
