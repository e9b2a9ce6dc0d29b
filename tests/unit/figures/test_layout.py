"""Every text of a sweep's figures has enough space, in small and in large sweeps."""

import itertools

import pytest
from matplotlib.text import Text

from orchestrator.figures.best_curves import best_curves_figure
from orchestrator.figures.importances import importance_figure
from orchestrator.figures.parallel_coordinates import parallel_coordinates_figure
from orchestrator.figures.trials import Importance, importance_caveat
from tests.unit.figures.sweeps import many, texts


@pytest.mark.parametrize(
    ("num_trials", "num_parameters"), [(1, 2), (1, 12), (40, 2), (40, 7), (40, 12), (500, 12)]
)
def test_no_two_texts_overlap_and_none_is_cut_off(num_trials: int, num_parameters: int) -> None:
    trials = many(num_trials, num_parameters)
    importance = Importance(1 / num_parameters, 0.0, 2 / num_parameters)
    importances = dict.fromkeys(trials[0].parameters, importance)
    for figure in (
        parallel_coordinates_figure(trials, "final/student_average_incremental_accuracy", "max"),
        best_curves_figure(trials, "max", num_best=8),
        importance_figure(importances, importance_caveat(num_trials, num_parameters)),
    ):
        figure.draw_without_rendering()
        boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts(figure)]
        for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
            assert not box.overlaps(other_box), (one, other)
        for text, box in boxes:
            assert box.x0 >= 0 <= box.y0, text
            assert box.x1 <= figure.bbox.x1, text
            assert box.y1 <= figure.bbox.y1, text
