"""Sweeps to draw, and the texts of a drawn figure."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures.trials import TrialRow

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
    """Return trials over numbers of all magnitudes, long categories, lists, and parameters that
    every second trial lacks.
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
