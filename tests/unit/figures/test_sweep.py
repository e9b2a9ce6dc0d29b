import csv
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures.heat_map import luminance
from orchestrator.figures.parallel_axes import (
    ParallelAxis,
    parameter_axes,
    short_names,
    value_axis,
)
from orchestrator.figures.parallel_coordinates import colour_scale
from orchestrator.figures.sweep import (
    TrialRow,
    best_curves_figure,
    importance_figure,
    leaderboard_csv,
    parallel_coordinates_figure,
)

RATE, KIND, PROGRESS = (
    "teacher.training.learning_rate",
    "student.transfer.kind",
    "student.transfer.progress_thresholds",
)
TRIALS = [
    TrialRow(4, "finished", 0.8, {RATE: 0.001, KIND: "fixed", "seed": 0}),
    TrialRow(5, "finished", 0.9, {RATE: 0.1, KIND: "threshold", PROGRESS: [0.3, 0.7], "seed": 0}),
    TrialRow(6, "stopped", 0.99, {RATE: 0.01, KIND: "fixed", "seed": 0}),
    TrialRow(7, "failed", None, {RATE: 0.1, KIND: "threshold", PROGRESS: [0.3, 0.9], "seed": 0}),
    TrialRow(8, "finished", 0.6, {RATE: 0.01, KIND: "fixed", "seed": 0}),
]
UNFINISHED = [trial for trial in TRIALS if trial.status != "finished"]


def many(num_trials: int, num_parameters: int) -> list[TrialRow]:
    """Trials over numbers of all sizes, long categories, lists, and parameters that every second
    trial lacks.
    """
    random = np.random.default_rng(num_trials)
    trials = []
    for i in range(num_trials):
        parameters: dict[str, Any] = {}
        for j in range(num_parameters):
            value = [
                float(10 ** -random.uniform(0, j)),
                ["nearest_class_mean", "fixed"][i % 2],
                random.random(2).tolist(),
                int(random.integers(j, 999)),
            ]
            if j % 3 or i % 2:
                parameters[f"teacher.part_{j}.{('joint_', '')[j % 2]}learning_rate"] = value[j % 4]
        curves = random.uniform(0.90, 0.91, (2, 5)).tolist()
        trials.append(
            TrialRow(
                i,
                "failed" if i % 7 == 6 else "finished",
                float(random.normal(0.9, 0.02)),
                parameters,
                [],
                *curves,
            )
        )
    return trials


def texts(figure: Figure) -> list[Text]:
    outside = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        outside |= {label for tick in ticks for label in (tick.label1, tick.label2)}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in outside
    ]


def heights(axes: Axes, label: str) -> list[list[float]]:
    """Of each trial drawn so: its height on the axes, which stand at 0, 1 and so on."""
    found = [lines for lines in axes.collections if lines.get_label() == label]
    assert len(found) == 1
    assert isinstance(found[0], LineCollection)
    segments = [np.asarray(segment) for segment in found[0].get_segments()]
    assert all(segment[:, 0].tolist() == list(range(len(segment))) for segment in segments)
    return [segment[:, 1].tolist() for segment in segments]


def axis_of(values: list[Any]) -> ParallelAxis:
    return value_axis("name", dict(enumerate(values)))


# --- parallel coordinates -------------------------------------------------------------------------


def test_there_is_an_axis_for_each_value_that_varies_and_one_for_the_objective() -> None:
    axes = parallel_coordinates_figure(TRIALS, "final/student_accuracy", "max").axes[0]
    names = [label.get_text().replace("\n", "") for label in axes.get_xticklabels()]
    # The seed is always 0, and so is the first threshold always 0.3.
    assert names == ["learning_rate", "transfer.kind", "progress_thresholds[1]", "student_accuracy"]


def test_each_trial_is_drawn_at_its_values_and_the_better_lie_on_top() -> None:
    axes = parallel_coordinates_figure(TRIALS, "accuracy", "max").axes[0]
    below = heights(axes, "unfinished")[0][-1]
    assert below < 0
    # Worked by hand: 0.001 … 0.1 is logarithmic, two categories stand at 1/4 and 3/4, 0.6 … 0.9 is
    # linear.
    np.testing.assert_allclose(heights(axes, "best"), [[1, 3 / 4, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(
        heights(axes, "finished"), [[1 / 2, 1 / 4, below, 0], [0, 1 / 4, below, 2 / 3]], atol=1e-12
    )
    # What a stopped trial reached (0.99) belongs to fewer tasks: it is not on the objective's axis.
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


def test_the_smallest_objective_is_the_best_where_less_is_better() -> None:
    figure = parallel_coordinates_figure(TRIALS, "forgetting", "min")
    assert heights(figure.axes[0], "best")[0][-1] == 0.0
    assert figure.get_suptitle().startswith("forgetting (lower is better)\nBest: trial 8 with 0.6,")


def test_the_headline_and_the_lowest_row_say_which_trial_is_best_and_what_it_tried() -> None:
    figure = parallel_coordinates_figure(TRIALS, "accuracy", "max")
    assert figure.get_suptitle().split("\n") == [
        "accuracy (higher is better)",
        "Best: trial 5 with 0.9, the thick line, its values below",
        "5 trials: 3 finished, 1 stopped, 1 failed",
    ]
    written = [text for text in figure.axes[0].texts if text.get_fontweight() == "bold"]
    assert [(text.get_position()[0], text.get_text()) for text in written] == [
        (0, "0.1"),
        (1, "threshold"),
        (2, "0.7"),
        (3, "0.9"),
    ]


def test_an_axis_that_some_trials_lack_says_where_their_lines_pass() -> None:
    axes = parallel_coordinates_figure(TRIALS, "accuracy", "max").axes[0]
    slots = {
        text.get_text(): text.get_position()
        for text in axes.texts
        if text.get_fontstyle() == "italic"
    }
    below = heights(axes, "unfinished")[0][-1]
    assert {text: x for text, (x, _) in slots.items()} == {"not set": 2, "unfinished": 3}
    assert all(below - 0.05 < y < below for _, y in slots.values())


def test_the_colour_bar_spans_the_objectives_and_is_left_out_where_they_are_equal() -> None:
    figure = parallel_coordinates_figure(TRIALS, "accuracy", "max")
    assert len(figure.axes) == 2
    np.testing.assert_allclose(figure.axes[1].get_ylim(), (0.6, 0.9))
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


def test_one_bad_trial_does_not_make_the_others_look_alike() -> None:
    values = [0.95, 0.94, 0.93, 0.92, 0.0]
    shades = [
        luminance(to_rgb(tuple(colour)))
        for colour in colour_scale(values, "max").to_rgba(np.array(values))
    ]
    assert shades[3] - shades[0] > 0.1
    trials = [TrialRow(i, "finished", value, {"seed": i}) for i, value in enumerate(values)]
    # 0.95 - 4 * (0.95 - 0.93): where the bar ends, with an arrow for what lies beyond.
    np.testing.assert_allclose(
        parallel_coordinates_figure(trials, "accuracy", "max").axes[1].get_ylim(), (0.87, 0.95)
    )


def test_one_trial_shows_all_its_parameters() -> None:
    axes = parallel_coordinates_figure(TRIALS[:1], "accuracy", "max").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "learning_rate",
        "transfer.kind",
        "seed",
        "accuracy",
    ]
    assert heights(axes, "best") == [[0.5, 0.5, 0.5, 0.5]]


def test_without_a_finished_trial_the_picture_says_so_and_shows_what_was_tried() -> None:
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


@pytest.mark.parametrize(
    ("num_trials", "num_parameters"), [(1, 2), (1, 12), (40, 2), (40, 7), (40, 12), (500, 12)]
)
def test_no_two_texts_overlap_and_none_is_cut_off(num_trials: int, num_parameters: int) -> None:
    trials = many(num_trials, num_parameters)
    importances = dict.fromkeys(trials[0].parameters, 1 / num_parameters)
    for figure in (
        parallel_coordinates_figure(trials, "final/student_average_incremental_accuracy", "max"),
        best_curves_figure(trials, "max", num_best=8),
        importance_figure(importances),
    ):
        figure.draw_without_rendering()
        boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts(figure)]
        for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
            assert not box.overlaps(other_box), (one, other)
        for text, box in boxes:
            assert box.x0 >= 0 <= box.y0, text
            assert box.x1 <= figure.bbox.x1, text
            assert box.y1 <= figure.bbox.y1, text


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([16, 64, 32], [(0, "16"), (1 / 3, "32"), (1, "64")]),
        ([0.01, 1.0], [(0, "0.01"), (1, "1")]),
        ([1e-6, 1e-5], [(0, "1e-6"), (1, "1e-5")]),
        ([True, False], [(0.25, "false"), (0.75, "true")]),
        (["b", "a", "b"], [(0.25, "a"), (0.75, "b")]),
        ([[["x"]], {"y": 1}], [(0.25, '[["x"]]'), (0.75, '{"y": 1}')]),
        ([7, 7], [(0.5, "7")]),
        ([0.25, None], [(0.5, "0.25")]),
        ([None], []),
    ],
    ids=str,
)
def test_a_few_values_are_their_own_ticks(
    values: list[Any], expected: list[tuple[float, str]]
) -> None:
    ticks = axis_of(values).ticks
    assert [text for _, text in ticks] == [text for _, text in expected]
    np.testing.assert_allclose(
        [height for height, _ in ticks], [height for height, _ in expected], atol=1e-12
    )


def test_a_span_of_more_than_one_and_a_half_decades_is_logarithmic() -> None:
    # 31.6 is 1.5 decades. The middle of 1 … 31 is 16, and of 1 … 100 it is 10.
    assert axis_of([1.0, 16.0, 31.0]).heights[1] == pytest.approx(0.5)
    assert axis_of([1.0, 10.0, 100.0]).heights[1] == pytest.approx(0.5)
    assert axis_of([0.0, 50.0, 100.0]).heights[1] == pytest.approx(0.5)


def test_many_numbers_have_round_ticks_at_their_places() -> None:
    linear = axis_of(np.linspace(0.13, 0.88, 40).tolist())
    assert [text for _, text in linear.ticks] == ["0.2", "0.4", "0.6", "0.8"]
    np.testing.assert_allclose(
        [height for height, _ in linear.ticks],
        [(tick - 0.13) / 0.75 for tick in (0.2, 0.4, 0.6, 0.8)],
    )
    logarithmic = axis_of(np.geomspace(1e-4, 1.0, 40).tolist())
    assert [text for _, text in logarithmic.ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    np.testing.assert_allclose(
        [height for height, _ in logarithmic.ticks], [0, 0.25, 0.5, 0.75, 1], atol=1e-12
    )


@given(
    st.lists(
        st.floats(-1e6, 1e6) | st.floats(1e-9, 1e9) | st.integers(0, 1000), min_size=1, max_size=30
    )
)
def test_each_tick_stands_where_a_trial_of_that_value_would(values: list[float]) -> None:
    axis = axis_of(values)
    assert axis.ticks
    assert all(
        -1e-6 <= height <= 1 + 1e-6
        for height in [*axis.heights.values(), *(height for height, _ in axis.ticks)]
    )
    assert len({text for _, text in axis.ticks}) == len(axis.ticks) <= 10
    by_height = sorted(axis.ticks)
    assert [float(text) for _, text in by_height] == sorted(float(text) for _, text in axis.ticks)


def test_a_short_list_has_an_axis_per_place_and_a_table_its_mean() -> None:
    axes = parameter_axes(
        [
            {"a.limits": [1, 2], "a.ratios": [[1.0, 0.5], [0.3, 0.2]]},
            {"a.limits": [3, 4], "a.ratios": [[1.0, 0.9], [0.9, 0.8]]},
        ]
    )
    assert [(axis.name, [axis.values[0], axis.values[1]]) for axis in axes] == [
        ("limits[0]", [1, 3]),
        ("limits[1]", [2, 4]),
        ("ratios (mean)", [pytest.approx(0.5), pytest.approx(0.9)]),
    ]


def test_lists_become_means_where_their_places_would_crowd_the_picture() -> None:
    wide = [{f"limits_{i}": [n, 2 * n, 3 * n] for i in range(5)} for n in range(3)]
    assert [axis.name for axis in parameter_axes(wide)] == [f"limits_{i} (mean)" for i in range(5)]
    assert parameter_axes(wide)[0].values == {0: 0, 1: 2, 2: 4}


def test_a_name_is_as_short_as_it_may_be() -> None:
    paths = [
        "teacher.training.learning_rate",
        "student.training.learning_rate",
        "teacher.augmentation.learning_rate",
    ]
    others = [
        "student.transfer.kind",
        "teacher.ratios.0.1",
        "seed",
        "data.seed",
        "student.temperature",
    ]
    assert list(short_names([*paths, *others]).values()) == [
        "teacher.training.learning_rate",
        "student.training.learning_rate",
        "augmentation.learning_rate",
        "transfer.kind",
        "ratios.0.1",
        "seed",
        "data.seed",
        "temperature",
    ]


# --- importances, curves, table -------------------------------------------------------------------


def test_the_most_important_parameter_is_on_top_with_its_share() -> None:
    axes = importance_figure({RATE: 0.25, KIND: 0.6, "student.temperature": 0.15}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "temperature",
        "learning_rate",
        "transfer.kind",
    ]
    assert [bar.get_width() for bar in axes.containers[0]] == [0.15, 0.25, 0.6]
    assert [text.get_text() for text in axes.texts] == ["15.0 %", "25.0 %", "60.0 %"]


def test_without_importances_the_picture_says_why() -> None:
    assert [text.get_text() for text in texts(importance_figure({}))] == [
        "No importances: they need finished trials that differ"
    ]


CURVES = [
    TrialRow(1, "finished", 0.5, {}, [], [1.0, 0.9], [0.9, 0.5]),
    TrialRow(2, "finished", 0.7, {}, [], [1.0, 0.9], [0.9, 0.7]),
    TrialRow(3, "finished", 0.6, {}, [], [1.0, 0.8], [0.9, 0.6]),
    TrialRow(4, "stopped", 0.9, {}, [], [1.0], [0.9]),
]


def test_the_best_trials_are_drawn_and_a_teacher_that_they_share_once() -> None:
    axes = best_curves_figure(CURVES, "max", num_best=3).axes[0]
    drawn = {
        str(line.get_label()): (line.get_linestyle(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
    }
    assert drawn == {
        "70.0 %  student of trial 2": ("-", [0.9, 0.7]),
        "60.0 %  student of trial 3": ("-", [0.9, 0.6]),
        "50.0 %  student of trial 1": ("-", [0.9, 0.5]),
        "90.0 %  teacher of trials 2, 1": ("--", [1.0, 0.9]),
        "80.0 %  teacher of trial 3": ("--", [1.0, 0.8]),
    }
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.get_lines()] == [[1, 2]] * 5
    on_top = max(axes.get_lines(), key=lambda line: line.get_zorder())
    assert on_top.get_label() == "70.0 %  student of trial 2"


def test_each_curve_is_labelled_at_its_end_in_its_colour() -> None:
    axes = best_curves_figure(CURVES, "max", num_best=2).axes[0]
    labels = {text.get_text(): text for text in axes.texts}
    assert set(labels) == {
        "70.0 %  student of trial 2",
        "60.0 %  student of trial 3",
        "90.0 %  teacher of trial 2",
        "80.0 %  teacher of trial 3",
    }
    for line in axes.get_lines():
        label = labels[str(line.get_label())]
        assert label.get_color() == line.get_color()
        # Far enough apart here to stand exactly beside their ends.
        assert label.get_position()[1] == pytest.approx(np.asarray(line.get_ydata())[-1])
    assert len({line.get_color() for line in axes.get_lines()}) == 2


def test_which_trials_are_best_follows_the_mode_and_a_shared_teacher_is_said_so() -> None:
    axes = best_curves_figure([CURVES[0], CURVES[1]], "min", num_best=1).axes[0]
    assert [str(line.get_label()) for line in axes.get_lines()] == [
        "50.0 %  student of trial 1",
        "90.0 %  teacher of trial 1",
    ]
    both = best_curves_figure([CURVES[0], CURVES[1]], "min").axes[0]
    assert "90.0 %  teacher of all" in {line.get_label() for line in both.get_lines()}


def test_without_curves_the_picture_says_so() -> None:
    assert [text.get_text() for text in texts(best_curves_figure(UNFINISHED, "max"))] == [
        "No trial has finished (1 stopped, 1 failed)"
    ]
    assert [text.get_text() for text in texts(best_curves_figure(TRIALS, "max"))] == [
        "No accuracies yet"
    ]
    assert [text.get_text() for text in texts(best_curves_figure([], "max"))] == ["No trial yet"]


def test_the_leaderboard_is_best_first_and_gives_back_every_value() -> None:
    trials = [
        *TRIALS,
        TrialRow(
            9, "finished", 0.9, {"note": 'a "b",\nc', "ratios": [[1, 2]], "on": True, "limit": None}
        ),
    ]
    table = leaderboard_csv(trials, "max")
    header, *rows = csv.reader(io.StringIO(table, newline=""))
    assert header == [
        "rank",
        "trial",
        "value",
        "status",
        RATE,
        KIND,
        "seed",
        PROGRESS,
        "note",
        "ratios",
        "on",
        "limit",
    ]
    assert [row[:4] for row in rows] == [
        ["1", "5", "0.9", "finished"],
        ["2", "9", "0.9", "finished"],
        ["3", "4", "0.8", "finished"],
        ["4", "8", "0.6", "finished"],
        ["", "6", "0.99", "stopped"],
        ["", "7", "", "failed"],
    ]
    assert rows[0][4:] == ["0.1", "threshold", "0", "[0.3, 0.7]", "", "", "", ""]
    assert rows[1][4:] == ["", "", "", "", 'a "b",\nc', "[[1, 2]]", "true", "null"]
    assert table.count("\r\n") == len(rows) + 1
    assert [row[1] for row in csv.reader(io.StringIO(leaderboard_csv(TRIALS, "min")))][1:] == [
        "8",
        "4",
        "5",
        "6",
        "7",
    ]


def test_the_leaderboard_of_an_empty_sweep_is_its_header() -> None:
    assert leaderboard_csv([], "max") == "rank,trial,value,status\r\n"
