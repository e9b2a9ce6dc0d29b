"""The chart of a front: its trials are numbered, the chosen one is a star, the others are grey."""

import numpy as np

from orchestrator.figures.pareto_front import pareto_front_figure
from orchestrator.figures.trials import TrialRow

ACCURACY, SIZE, LATENCY = "student/last_accuracy", "student/num_parameters", "student/latency_ms"


def rows(*names: str) -> list[TrialRow]:
    points = [(0.9, 300.0, 3.0), (0.8, 100.0, 2.0), (0.7, 200.0, 1.0), (0.6, 400.0, 4.0)]
    return [
        TrialRow(
            number,
            "finished",
            point[0],
            {},
            values=dict(zip(names, point, strict=False)),
            in_front=number < len(names),
        )
        for number, point in enumerate(points)
    ]


def test_trials_of_the_front_are_numbered_and_the_chosen_one_is_a_star() -> None:
    figure = pareto_front_figure(rows(ACCURACY, SIZE), {ACCURACY: "max", SIZE: "min"}, 1)
    [axes] = figure.axes
    others, front, chosen = (np.asarray(each.get_offsets()).tolist() for each in axes.collections)
    assert front == [[100.0, 80.0], [300.0, 90.0]]
    assert chosen == [[100.0, 80.0]]
    assert others == [[200.0, 70.0], [400.0, 60.0]]
    assert {"0", "1"} <= {text.get_text() for text in axes.texts}
    assert axes.get_ylabel() == "student/last_accuracy in % (more is better)"
    assert axes.get_xlabel() == "student/num_parameters (less is better)"


def test_each_further_objective_has_a_panel_and_no_line_joins_the_front() -> None:
    modes = {ACCURACY: "max", SIZE: "min", LATENCY: "min"}
    figure = pareto_front_figure(rows(*modes), modes)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "student/num_parameters (less is better)",
        "student/latency_ms (less is better)",
    ]
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]


def test_a_sweep_without_a_finished_trial_says_so() -> None:
    running = [TrialRow(0, "stopped", None, {})]
    figure = pareto_front_figure(running, {ACCURACY: "max", SIZE: "min"})
    assert "No trial has finished" in " ".join(text.get_text() for text in figure.texts)
