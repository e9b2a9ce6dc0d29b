import pytest

from orchestrator.reporting.quantities import (
    breakable,
    mean_and_deviation,
    percent,
    percent_number,
    short_count,
    short_numbers,
    signed_points,
)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.9516, "95.2"), (-0.009, "−0.9"), (-0.0001, "0.0"), (None, "–"), (float("nan"), "–")],
)
def test_a_fraction_is_shown_in_percent_with_one_digit(fraction: float | None, text: str) -> None:
    assert percent_number(fraction) == text
    assert percent(fraction) == ("–" if text == "–" else f"{text} %")


@pytest.mark.parametrize(
    ("difference", "text"), [(0.012, "+1.2"), (-0.25, "−25.0"), (0.0004, "0.0"), (-0.0004, "0.0")]
)
def test_a_difference_has_its_sign_unless_it_is_zero(difference: float, text: str) -> None:
    assert signed_points(difference) == text


def test_the_standard_deviation_is_that_of_a_sample() -> None:
    assert mean_and_deviation([0.9, 1.0]) == "95.0 ± 7.1"  # sqrt(2 * 5²) = 7.07
    assert mean_and_deviation([0.9]) == "90.0"
    assert mean_and_deviation([]) == "–"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999, "999"),
        (18_432, "18.4 k"),
        (78_630_496, "78.6 M"),
        (999_990, "1.0 M"),
        (2 * 10**9, "2.0 G"),
    ],
)
def test_a_short_count_has_three_or_four_digits(number: int, text: str) -> None:
    assert short_count(number) == text


def test_long_fractions_in_settings_are_cut_and_all_else_stays() -> None:
    assert short_numbers("[0.53544699304, 1, 0.25, 'v1.2']") == "[0.53545, 1, 0.25, 'v1.2']"
    assert short_numbers("1.23456789e-05") == "1.2346e-05"


def test_a_path_may_break_after_its_dots_and_is_escaped() -> None:
    assert breakable("a.b_c") == "a.<wbr>b_<wbr>c"
    assert breakable("<b>") == "&lt;b&gt;"
