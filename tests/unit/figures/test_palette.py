import pytest

from orchestrator.figures.matrix_colours import luminance
from orchestrator.figures.palette import COLOURS, SERIES, VARIABLES


@pytest.mark.parametrize("name", [*SERIES, "ink", "muted", "good", "bad"])
def test_colours_of_text_and_lines_have_enough_contrast_in_light_and_dark_mode(name: str) -> None:
    for colour, panel in zip(COLOURS[name], COLOURS["panel"], strict=True):
        dark, light = sorted(
            luminance((int(c[1:3], 16) / 255, int(c[3:5], 16) / 255, int(c[5:], 16) / 255))
            for c in (colour, panel)
        )
        # text: 4.5; lines: 3 (WCAG 2)
        assert (light + 0.05) / (dark + 0.05) >= (3.0 if name in SERIES else 4.5)


def test_no_two_purposes_share_a_light_colour() -> None:
    assert len(VARIABLES) == len(COLOURS)
