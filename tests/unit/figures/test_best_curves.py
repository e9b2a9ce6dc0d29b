import numpy as np
import pytest

from orchestrator.figures.best_curves import best_curves_figure
from orchestrator.figures.trials import TrialRow
from tests.unit.figures.sweeps import TRIALS, UNFINISHED, texts

CURVES = [
    TrialRow(1, "finished", 0.5, {}, [], [1.0, 0.9], [0.9, 0.5]),
    TrialRow(2, "finished", 0.7, {}, [], [1.0, 0.9], [0.9, 0.7]),
    TrialRow(3, "finished", 0.6, {}, [], [1.0, 0.8], [0.9, 0.6]),
    TrialRow(4, "stopped", 0.9, {}, [], [1.0], [0.9]),
]


def test_the_best_trials_are_drawn_and_a_shared_teacher_only_once() -> None:
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
        # These ends are far enough apart for labels exactly next to them.
        assert label.get_position()[1] == pytest.approx(np.asarray(line.get_ydata())[-1])
    assert len({line.get_color() for line in axes.get_lines()}) == 2


def test_the_best_trials_follow_the_mode_and_a_shared_teacher_is_labelled_as_shared() -> None:
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
