"""The objective of a sweep: weighted metrics from the right role's matrix on the right images."""

import pytest

from orchestrator.config import SearchSpace
from orchestrator.config.objective import MEASURE_NAMES
from orchestrator.config.roles import Role
from orchestrator.data import Split
from orchestrator.tuning.objective import MEASURE_FUNCTIONS, Objective

STUDENT = [[0.8], [0.6, 1.0], [0.5, 0.7, 0.9]]
TEACHER = [[1.0], [1.0, 1.0], [1.0, 1.0, 1.0]]
MATRICES: dict[Role, list[list[float]]] = {"teacher": TEACHER, "student": STUDENT}
# by hand: the means of the rows; tasks fall from 0.8 to 0.5 and from 1.0 to 0.7
ACCURACY = (0.8 + 0.8 + 0.7) / 3
FORGETTING = (0.3 + 0.3) / 2


def objective_of(**fields: object) -> Objective:
    values = {
        "name": "test",
        "num_trials": 1,
        "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 2}},
        **fields,
    }
    return Objective.of(SearchSpace.model_validate(values))


def test_the_default_is_the_students_average_incremental_accuracy_on_validation() -> None:
    objective = objective_of()
    assert objective.split is Split.VALIDATION
    assert objective.value(MATRICES) == pytest.approx(ACCURACY)


def test_a_mixture_is_the_weighted_sum() -> None:
    objective = objective_of(
        metric={"student/average_incremental_accuracy": 2, "student/forgetting": -0.5}, split="test"
    )
    assert objective.split is Split.TEST
    assert objective.value(MATRICES) == pytest.approx(2 * ACCURACY - 0.5 * FORGETTING)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("teacher/last_accuracy", 1.0),
        ("teacher/forgetting", 0.0),
        ("student/last_accuracy", 0.7),
        ("student/forgetting", FORGETTING),
        ("student/backward_transfer", -FORGETTING),
    ],
)
def test_each_metric_is_read_from_its_own_roles_matrix(metric: str, expected: float) -> None:
    assert objective_of(metric=metric).value(MATRICES) == pytest.approx(expected)


def test_after_one_task_forgetting_is_zero() -> None:
    assert (
        objective_of(metric="student/forgetting").value({"teacher": [[1.0]], "student": [[0.4]]})
        == 0
    )


def test_every_measure_that_a_search_space_may_name_can_be_measured() -> None:
    assert set(MEASURE_NAMES) == set(MEASURE_FUNCTIONS)
