import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from orchestrator.figures.matrix_colours import luminance
from orchestrator.figures.parallel_coordinates import colour_scale, parallel_coordinates_figure
from orchestrator.figures.trials import TrialRow
from tests.unit.figures.sweeps import TRIALS, UNFINISHED, texts


def heights(axes: Axes, label: str) -> list[list[float]]:
    """Return the heights on the axes, at 0, 1 and so on, of each trial drawn with this label."""
    found = [lines for lines in axes.collections if lines.get_label() == label]
    assert len(found) == 1
    assert isinstance(found[0], LineCollection)
    segments = [np.asarray(segment) for segment in found[0].get_segments()]
    assert all(segment[:, 0].tolist() == list(range(len(segment))) for segment in segments)
    return [segment[:, 1].tolist() for segment in segments]


def test_there_is_an_axis_for_each_varying_value_and_one_for_the_objective() -> None:
    axes = parallel_coordinates_figure(TRIALS, "final/student_accuracy", "max").axes[0]
    names = [label.get_text().replace("\n", "") for label in axes.get_xticklabels()]
    # The seed is always 0, and the first threshold always 0.3.
    assert names == [
        "learning_rate",
        "transfer.kind",
        "progress_thresholds[1]",
        "student_accuracy in %",
    ]


def test_each_trial_is_drawn_at_its_values_and_better_ones_on_top() -> None:
    axes = parallel_coordinates_figure(TRIALS, "accuracy", "max").axes[0]
    below = heights(axes, "unfinished")[0][-1]
    assert below < 0
    # Worked by hand: 0.001 … 0.1 is logarithmic, two categories are at 1/4 and 3/4, 0.6 … 0.9 is
    # linear.
    np.testing.assert_allclose(heights(axes, "best"), [[1, 3 / 4, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(
        heights(axes, "finished"), [[1 / 2, 1 / 4, below, 0], [0, 1 / 4, below, 2 / 3]], atol=1e-12
    )
    # A stopped trial's value (0.99) belongs to fewer tasks: it is not on the objective's axis.
    np.testing.assert_allclose(
        heights(axes, "unfinished"),
        [[1 / 2, 1 / 4, below, below], [1, 3 / 4, 1, below]],
        atol=1e-12,
    )
    order = {
        str(lines.get_label()): (lines.get_zorder(), float(np.max(lines.get_linewidth())))
        for lines in axes.collections
    }
    assert order["unfinished"] < order["finished"] < order["best"]
    assert order["unfinished"][1] < order["finished"][1] < order["best"][1]


def test_the_smallest_objective_is_best_when_minimising() -> None:
    figure = parallel_coordinates_figure(TRIALS, "forgetting", "min")
    assert heights(figure.axes[0], "best")[0][-1] == 0.0
    assert figure.get_suptitle().startswith(
        "forgetting (lower is better)\nBest: trial 8 with 60.0 %,"
    )


def test_the_headline_and_the_lowest_row_name_the_best_trial_and_its_parameters() -> None:
    figure = parallel_coordinates_figure(TRIALS, "accuracy", "max")
    assert figure.get_suptitle().split("\n") == [
        "accuracy (higher is better)",
        "Best: trial 5 with 90.0 %, the thick line, its values below",
        "5 trials: 3 finished, 1 stopped, 1 failed",
    ]
    written = [text for text in figure.axes[0].texts if text.get_fontweight() == "bold"]
    assert [(text.get_position()[0], text.get_text()) for text in written] == [
        (0, "0.1"),
        (1, "threshold"),
        (2, "0.7"),
        (3, "90.0"),
    ]


def test_an_axis_that_some_trials_lack_labels_where_their_lines_pass() -> None:
    axes = parallel_coordinates_figure(TRIALS, "accuracy", "max").axes[0]
    slots = {
        text.get_text(): text.get_position()
        for text in axes.texts
        if text.get_fontstyle() == "italic"
    }
    below = heights(axes, "unfinished")[0][-1]
    assert {text: x for text, (x, _) in slots.items()} == {"not set": 2, "unfinished": 3}
    assert all(below - 0.05 < y < below for _, y in slots.values())


def test_the_colour_bar_spans_the_objectives_and_is_omitted_if_they_are_equal() -> None:
    figure = parallel_coordinates_figure(TRIALS, "accuracy", "max")
    assert len(figure.axes) == 2
    np.testing.assert_allclose(figure.axes[1].get_ylim(), (60, 90))
    assert len(parallel_coordinates_figure(TRIALS[:1], "accuracy", "max").axes) == 1


@pytest.mark.parametrize("mode", ["max", "min"])
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_better_trial_is_never_lighter_and_the_best_is_the_darkest(
    mode: str, values: list[float]
) -> None:
    best_first = sorted(values, reverse=mode == "max")
    shades = [
        luminance(to_rgb(tuple(colour)))
        for colour in colour_scale(best_first, mode).to_rgba(np.array(best_first))
    ]
    assert all(better <= worse + 1e-9 for better, worse in itertools.pairwise(shades))
    assert shades[0] < 0.02


def test_one_bad_trial_does_not_make_the_others_look_equal() -> None:
    values = [0.95, 0.94, 0.93, 0.92, 0.0]
    shades = [
        luminance(to_rgb(tuple(colour)))
        for colour in colour_scale(values, "max").to_rgba(np.array(values))
    ]
    assert shades[3] - shades[0] > 0.1
    trials = [TrialRow(i, "finished", value, {"seed": i}) for i, value in enumerate(values)]
    # 0.95 - 4 * (0.95 - 0.93): the end of the bar, with an arrow for values beyond.
    np.testing.assert_allclose(
        parallel_coordinates_figure(trials, "accuracy", "max").axes[1].get_ylim(), (87, 95)
    )


def test_one_trial_shows_all_its_parameters() -> None:
    axes = parallel_coordinates_figure(TRIALS[:1], "accuracy", "max").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "learning_rate",
        "transfer.kind",
        "seed",
        "accuracy in %",
    ]
    assert heights(axes, "best") == [[0.5, 0.5, 0.5, 0.5]]


def test_without_a_finished_trial_the_picture_says_so_and_shows_the_parameters() -> None:
    figure = parallel_coordinates_figure(UNFINISHED, "accuracy", "max")
    assert figure.get_suptitle() == "No trial has finished (1 stopped, 1 failed)"
    assert [lines.get_label() for lines in figure.axes[0].collections] == ["unfinished"]
    assert len(heights(figure.axes[0], "unfinished")) == 2
    assert [
        text.get_text() for text in texts(parallel_coordinates_figure([], "accuracy", "max"))
    ] == ["No trial yet"]


def test_a_finished_trial_without_a_number_is_not_ranked() -> None:
    figure = parallel_coordinates_figure(
        [TrialRow(0, "finished", math.nan, {"seed": 0})], "accuracy", "max"
    )
    assert figure.get_suptitle() == "No trial has finished (1 without a value)"
