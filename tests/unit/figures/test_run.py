import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread
from matplotlib.text import Text
from numpy.typing import NDArray

from orchestrator.figures.matrix_colours import cell_colour
from orchestrator.figures.run import accuracy_matrix_figure, run_overview_figure
from orchestrator.figures.saving import save_figure

TEACHER = [[1.0], [0.9, 0.8], [0.95, 0.7, 0.6]]
STUDENT = [[0.9], [0.8, 0.7], [0.5, 0.75, 0.65]]


def cells(axes: Axes) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}


@pytest.mark.parametrize("above", [None, math.nan], ids=["none", "nan"])
def test_every_learned_task_shows_its_percentage_and_the_others_are_empty(
    above: float | None,
) -> None:
    full: list[list[float | None]] = [[1.0, above, above], [0.9, 0.8, above], [0.95, 0.7, 0.6]]
    expected = {
        (0, 0): "100.0",
        (0, 1): "90.0",
        (1, 1): "80.0",
        (0, 2): "95.0",
        (1, 2): "70.0",
        (2, 2): "60.0",
    }
    for figure in (
        accuracy_matrix_figure(full, "Teacher"),
        accuracy_matrix_figure(TEACHER, "Teacher"),
    ):
        axes = figure.axes[0]
        assert cells(axes) == expected
        image = axes.images[0].get_array()
        assert image is not None
        np.testing.assert_array_equal(
            np.ma.getmaskarray(image), np.triu(np.ones((3, 3), dtype=bool), k=1)
        )


def test_the_axes_name_the_learned_and_the_tested_task() -> None:
    axes = accuracy_matrix_figure(
        TEACHER, "Teacher", [["0", "1"], ["cat", "caterpillar"], ["a1", "a2", "a3", "a4", "a5"]]
    ).axes[0]
    assert axes.get_title() == "Teacher"
    assert axes.get_ylabel() == "after learning task"
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "task 1\n0, 1",
        "task 2\ncat\ncaterpil…",
        "task 3\na1\na2\na3\n+2",
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "3"]


def test_a_cell_has_the_colour_of_its_accuracy_and_unlearned_cells_are_white(
    tmp_path: Path,
) -> None:
    figure = accuracy_matrix_figure([[1.0], [0.0, 0.8]], "two tasks")
    save_figure(figure, tmp_path / "new folder" / "matrix.png")
    picture: NDArray[np.float32] = imread(tmp_path / "new folder" / "matrix.png")
    axes = figure.axes[0]
    scale = 150 / figure.dpi  # saved at 150 dots per inch

    def pixel(task: float, after: float) -> NDArray[np.float32]:
        x, y = axes.transData.transform((task, after)) * scale
        return picture[len(picture) - 1 - int(y), int(x), :3]

    corner = -0.35  # next to the text
    np.testing.assert_allclose(pixel(0 + corner, 0 + corner), cell_colour(1.0), atol=0.01)
    np.testing.assert_allclose(pixel(0 + corner, 1 + corner), cell_colour(0.0), atol=0.01)
    np.testing.assert_allclose(pixel(1 + corner, 1 + corner), cell_colour(0.8), atol=0.01)
    np.testing.assert_allclose(pixel(1 + corner, 0 + corner), (1, 1, 1), atol=0.001)


def test_the_overview_shows_both_matrices_and_both_curves() -> None:
    figure = run_overview_figure(TEACHER, STUDENT, "digits")
    assert figure.get_suptitle() == "digits"
    teacher, student, accuracy, forgetting = figure.axes[:4]
    assert (teacher.get_title()[:8], student.get_title()[:8]) == ("Teacher:", "Student:")
    assert cells(teacher)[(0, 2)] == "95.0"
    assert cells(student)[(0, 2)] == "50.0"
    lines = {str(line.get_label()): line for line in accuracy.get_lines()}
    np.testing.assert_allclose(np.asarray(lines["Teacher"].get_ydata()), [1.0, 0.85, 0.75])
    np.testing.assert_allclose(
        np.asarray(lines["Student"].get_ydata()), [0.9, 0.75, 0.65 - 0.05 / 3]
    )
    np.testing.assert_array_equal(lines["Student"].get_xdata(), [1, 2, 3])
    # Worked by hand: best earlier accuracy minus the last; the student improved on task 2.
    bars = [[bar.get_height() for bar in group] for group in forgetting.containers]
    np.testing.assert_allclose(bars, [[0.05, 0.1], [0.4, -0.05]])
    legend = forgetting.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Teacher", "Student"]


def test_a_run_of_one_task_has_no_forgetting(tmp_path: Path) -> None:
    figure = run_overview_figure([[0.9]], [[0.8]], "one task")
    assert [text.get_text() for text in figure.axes[3].texts] == ["needs two tasks"]
    save_figure(figure, tmp_path / "one.png")


def test_twenty_tasks_are_drawn_without_decimals() -> None:
    axes = accuracy_matrix_figure([[0.875] * (i + 1) for i in range(20)], "long").axes[0]
    assert set(cells(axes).values()) == {"88"}


@pytest.mark.parametrize("name", ["$_$", "a_$ $b^$", r"$\frac{$", "$x$"])
def test_names_are_not_parsed_as_formulas(tmp_path: Path, name: str) -> None:
    for figure in (
        accuracy_matrix_figure(TEACHER, name, [[name], ["cat"], [name, "dog"]]),
        run_overview_figure(TEACHER, STUDENT, name),
    ):
        save_figure(figure, tmp_path / "figure.png")
        with_name = [text for text in figure.findobj(Text) if name in text.get_text()]
        assert with_name
        assert not any(text.get_parse_math() for text in with_name)
