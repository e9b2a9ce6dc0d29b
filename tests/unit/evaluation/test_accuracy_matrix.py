"""The metrics on a matrix worked by hand, and the bounds they never leave.

R = 0.9            after task 0
    0.7  0.8       after task 1
    0.8  0.5  1.0  after task 2

A_0 = 0.9, A_1 = (0.7 + 0.8) / 2 = 0.75, A_2 = (0.8 + 0.5 + 1.0) / 3 = 2.3 / 3
average incremental accuracy = (0.9 + 0.75 + 2.3 / 3) / 3 = 7.25 / 9
F_1 = 0.9 - 0.7 = 0.2
F_2: task 0: max(0.9, 0.7) - 0.8 = 0.1; task 1: 0.8 - 0.5 = 0.3; mean 0.2
backward transfer = ((0.8 - 0.9) + (0.5 - 0.8)) / 2 = -0.2
plasticity = (0.9 + 0.8 + 1.0) / 3 = 0.9
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation import (
    accuracy_after,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forgetting_after,
    forgetting_of_task,
    last_accuracy,
    plasticity,
)

R = [[0.9], [0.7, 0.8], [0.8, 0.5, 1.0]]


def test_accuracies_of_the_matrix_worked_by_hand() -> None:
    assert [accuracy_after(R, task) for task in range(3)] == pytest.approx([0.9, 0.75, 2.3 / 3])
    assert last_accuracy(R) == pytest.approx(2.3 / 3)
    assert average_incremental_accuracy(R) == pytest.approx(7.25 / 9)


def test_forgetting_of_the_matrix_worked_by_hand() -> None:
    assert forgetting_of_task(R, 1, 0) == pytest.approx(0.2)
    assert forgetting_of_task(R, 2, 0) == pytest.approx(0.1)
    assert forgetting_of_task(R, 2, 1) == pytest.approx(0.3)
    assert [forgetting_after(R, task) for task in range(3)] == pytest.approx([0, 0.2, 0.2])
    assert forgetting(R) == pytest.approx(0.2)


def test_backward_transfer_and_plasticity_of_the_matrix_worked_by_hand() -> None:
    assert backward_transfer(R) == pytest.approx(-0.2)
    assert plasticity(R) == pytest.approx(0.9)


def test_forgetting_compares_with_the_best_earlier_row_not_the_first() -> None:
    # task 0 was best after task 1: 0.9 - 0.6; first minus last would give -0.1
    assert forgetting_of_task([[0.5], [0.9, 1.0], [0.6, 1.0, 1.0]], 2, 0) == pytest.approx(0.3)


def test_forgetting_is_zero_when_no_accuracy_drops() -> None:
    assert forgetting([[0.5], [0.5, 0.7], [0.5, 0.7, 0.2]]) == 0


def test_forgetting_is_negative_when_a_task_improves() -> None:
    assert forgetting([[0.5], [0.75, 0.5]]) == -0.25
    assert backward_transfer([[0.5], [0.75, 0.5]]) == 0.25


def test_a_single_task_has_no_forgetting() -> None:
    matrix = [[0.8]]
    assert (last_accuracy(matrix), average_incremental_accuracy(matrix), plasticity(matrix)) == (
        0.8,
        0.8,
        0.8,
    )
    assert (forgetting(matrix), backward_transfer(matrix)) == (0, 0)


fractions = st.floats(0, 1)
matrices = st.integers(1, 6).flatmap(
    lambda n: st.tuples(*(st.lists(fractions, min_size=i, max_size=i) for i in range(1, n + 1)))
)


@given(matrices)
def test_every_metric_stays_within_its_bounds(matrix: tuple[list[float], ...]) -> None:
    tolerance = 1e-12
    for measure in (last_accuracy, average_incremental_accuracy, plasticity):
        assert -tolerance <= measure(matrix) <= 1 + tolerance
    for measure in (forgetting, backward_transfer):
        assert -1 - tolerance <= measure(matrix) <= 1 + tolerance


@given(matrices)
def test_forgetting_is_at_least_the_loss_in_backward_transfer(
    matrix: tuple[list[float], ...],
) -> None:
    # the best earlier accuracy is at least the first one
    assert forgetting(matrix) >= -backward_transfer(matrix) - 1e-12


@given(matrices)
def test_metrics_do_not_change_the_matrix(matrix: tuple[list[float], ...]) -> None:
    before = [list(row) for row in matrix]
    for measure in (
        last_accuracy,
        average_incremental_accuracy,
        forgetting,
        backward_transfer,
        plasticity,
    ):
        measure(matrix)
    assert [list(row) for row in matrix] == before
