from hypothesis import given
from hypothesis import strategies as st

from orchestrator.figures.matrix_colours import cell_colour, luminance, text_colour


@given(st.floats(0, 1))
def test_the_text_is_readable_on_every_cell(accuracy: float) -> None:
    darker, lighter = sorted(
        [luminance(cell_colour(accuracy)), 1.0 if text_colour(accuracy) == "white" else 0.0]
    )
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_accuracy_is_never_lighter(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert luminance(cell_colour(high)) <= luminance(cell_colour(low)) + 1e-9
