from orchestrator.figures.importances import importance_figure
from tests.unit.figures.sweeps import KIND, RATE, texts


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
