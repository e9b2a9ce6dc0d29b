from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from orchestrator.figures.importances import importance_figure
from orchestrator.figures.trials import Importance, importance_caveat
from tests.unit.figures.sweeps import KIND, RATE, texts

IMPORTANCES = {
    RATE: Importance(0.25, 0.1, 0.4),
    KIND: Importance(0.6, 0.5, 0.9),
    "student.temperature": Importance(0.15, 0.0, 0.15),
}


def test_the_most_important_parameter_is_on_top_with_its_share_and_interval() -> None:
    axes = importance_figure(IMPORTANCES).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "temperature",
        "learning_rate",
        "transfer.kind",
    ]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.15, 0.25, 0.6]
    assert [text.get_text() for text in axes.texts] == ["15 %", "25 %", "60 %"]
    [intervals] = axes.collections
    assert isinstance(intervals, LineCollection)
    ends = [tuple(segment[:, 0]) for segment in intervals.get_segments()]
    assert ends == [(0.0, 0.15), (0.1, 0.4), (0.5, 0.9)]


def test_a_small_number_of_trials_per_parameter_is_pointed_out() -> None:
    assert importance_caveat(40, 2) == ""
    caveat = importance_caveat(39, 2)
    assert caveat.startswith("39 finished trials for 2 parameters: with fewer than 20 per")
    assert caveat in [text.get_text() for text in texts(importance_figure(IMPORTANCES, caveat))]


def test_without_importances_the_picture_says_why() -> None:
    assert [text.get_text() for text in texts(importance_figure({}))] == [
        "No importances: they need finished trials that differ"
    ]
