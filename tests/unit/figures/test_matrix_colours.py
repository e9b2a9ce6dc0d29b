import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_hex

from orchestrator.figures.matrix_colours import (
    ACCURACY_COLOURS,
    DIFFERENCE_COLOURS,
    accuracy_colours,
    cell_colour,
    difference_colours,
    luminance,
    text_colour,
)


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


def test_tables_have_the_colours_of_matplotlibs_pictures() -> None:
    colours = LinearSegmentedColormap.from_list("accuracy", ACCURACY_COLOURS)
    scale = PowerNorm(gamma=3.0, vmin=0.0, vmax=1.0)
    for accuracy in (each / 997 for each in range(998)):
        expected = colours(float(scale(accuracy)))[:3]
        assert cell_colour(accuracy) == pytest.approx(expected, abs=1e-12)
        assert accuracy_colours(accuracy).background == to_hex(expected)
    differing = LinearSegmentedColormap.from_list("difference", DIFFERENCE_COLOURS)
    for difference in (-0.3, -0.02, 0.0, 0.1, 0.7):
        strength = min(1.0, abs(difference) / 0.3) ** 0.6
        own = differing(0.5 + math.copysign(strength / 2, difference))
        assert difference_colours(difference).background == to_hex(own)
