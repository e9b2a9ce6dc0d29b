"""A stage's key holds everything that determines its result, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.config import Experiment
from orchestrator.data import ImageTable
from orchestrator.data.image_table import write_image_table
from orchestrator.data.scenario_building import build_scenario
from orchestrator.stages import stage_graph
from tests.every_method import COMPARISON_METHODS, METHODS


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return small_table(tmp_path_factory.mktemp("tables"))


def small_table(folder: Path, change: int | None = None) -> ImageTable:
    """Return a table of eight classes with four training images and one test image each; every
    pixel holds its row number.
    """
    labels = [str(row // 5) for row in range(40)]
    images = np.repeat(np.arange(40, dtype=np.uint8), 4).reshape(-1, 1, 2, 2)
    if change is not None:
        images[change] += 100
    return write_image_table(
        folder / f"{change}.arrow", "small", images, labels, np.arange(40) % 5 == 4
    )


def keys(table: ImageTable, **changes: Any) -> dict[str, str]:  # noqa: ANN401 - parts of an experiment
    values = {"scenario": {"class_order": list(range(8))}, **changes}
    experiment = Experiment.model_validate(values)
    scenario = build_scenario(table, experiment.scenario, 0.0, experiment.seed)
    return {stage.name: stage.key for stage in stage_graph(experiment, scenario)}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, key in after.items() if key != before[name]}


def of_role(role: str, first: int = 0) -> set[str]:
    return {f"{role}[{task}]" for task in range(first, 4)}


ALL = of_role("teacher") | of_role("student")


def test_each_tasks_teacher_comes_before_its_student(table: ImageTable) -> None:
    assert list(keys(table)) == [
        f"{role}[{task}]" for task in range(4) for role in ("teacher", "student")
    ]


def test_keys_are_reproducible_and_distinct(table: ImageTable) -> None:
    assert keys(table) == keys(table)
    assert len(set(keys(table).values())) == 8
    assert all(len(key) == 64 for key in keys(table).values())


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"data": {"augmentation": {"noise": 0.5}}},
        {"teacher": {"training": {"epochs": 7}}},
        {"teacher": {"backbone": {"kind": "small_cnn_tiny"}}},
        {"method": {"kind": "analytic"}},
        {"scenario": {"class_order": [1, 0, 2, 3, 4, 5, 6, 7]}},
    ],
    ids=["seed", "image augmentation", "teacher", "backbone", "method", "class order"],
)
def test_a_setting_that_every_stage_reads_changes_every_key(
    table: ImageTable, changes: dict[str, Any]
) -> None:
    assert changed(keys(table), keys(table, **changes)) == ALL


@pytest.mark.parametrize(
    "student",
    [
        {"temperature": 3.75},
        {"training": {"epochs": 7}},
        {"transfer": {"kind": "fixed"}},
        {"backbone": {"kind": "small_cnn"}},
    ],
    ids=["temperature", "epochs", "transfer", "backbone"],
)
def test_the_students_configuration_changes_no_teachers_key(
    table: ImageTable, student: dict[str, Any]
) -> None:
    assert changed(keys(table), keys(table, student=student)) == of_role("student")


def test_names_and_places_change_no_key(table: ImageTable) -> None:
    moved = {
        "name": "another",
        "execution": {"kind": "in_process", "num_threads": 3},
        "store": {"uri": "elsewhere"},
        "tracking": {"uri": "sqlite:///elsewhere.db", "experiment": "x"},
        "data": {"cache_dir": "elsewhere"},
    }
    assert changed(keys(table), keys(table, **moved)) == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_tasks_data_changes_no_key_before_that_task(
    table: ImageTable, tmp_path: Path, method: str
) -> None:
    # row 30 is the first training image of class 6, which arrives in task 3
    other = small_table(tmp_path, change=30)
    found = changed(keys(table, method={"kind": method}), keys(other, method={"kind": method}))
    assert found == of_role("teacher", 3) | of_role("student", 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_tasks_data_changes_every_key(
    table: ImageTable, tmp_path: Path, method: str
) -> None:
    other = small_table(tmp_path, change=0)
    assert (
        changed(keys(table, method={"kind": method}), keys(other, method={"kind": method})) == ALL
    )


def test_test_images_change_no_key(table: ImageTable, tmp_path: Path) -> None:
    assert changed(keys(table), keys(small_table(tmp_path, change=4))) == set()


def test_more_tasks_do_not_change_the_keys_of_the_first_ones(table: ImageTable) -> None:
    fewer = keys(table, scenario={"class_order": list(range(6))})
    assert fewer.items() < keys(table).items()


@pytest.mark.parametrize("method", COMPARISON_METHODS)
def test_the_two_networks_of_a_comparison_method_are_independent(
    table: ImageTable, method: str
) -> None:
    before = keys(table, method={"kind": method})
    assert changed(
        before,
        keys(table, method={"kind": method}, teacher={"backbone": {"kind": "small_cnn_tiny"}}),
    ) == of_role("teacher")
    assert changed(
        before, keys(table, method={"kind": method}, student={"backbone": {"kind": "small_cnn"}})
    ) == of_role("student")


def test_distillation_settings_change_no_key_of_a_comparison_method(table: ImageTable) -> None:
    method = {"kind": "finetuning"}
    assert (
        changed(
            keys(table, method=method), keys(table, method=method, student={"temperature": 3.75})
        )
        == set()
    )


def test_the_key_depends_on_the_parameters_of_the_method(table: ImageTable) -> None:
    weak, strong = ({"kind": "analytic", "ridge": ridge} for ridge in (0.01, 1.0))
    assert changed(keys(table, method=weak), keys(table, method=strong)) == ALL


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("finetuning", ALL),
        ("lwf", ALL),
        ("joint", ALL),
        ("nearest_class_mean", set()),
        ("analytic", set()),
        ("ranpac", set()),
        ("fecam", set()),
    ],
)
def test_the_joint_embeddings_size_is_in_the_keys_of_methods_that_have_one(
    table: ImageTable, method: str, expected: set[str]
) -> None:
    chosen = {"kind": method}
    assert (
        changed(
            keys(table, method=chosen),
            keys(table, method=chosen, teacher={"joint_embedding": {"dimensions": 7}}),
        )
        == expected
    )


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("finetuning", of_role("student")),
        ("joint", of_role("student")),
        ("nearest_class_mean", set()),
    ],
)
def test_a_comparison_methods_student_key_has_its_training_only_if_it_is_trained(
    table: ImageTable, method: str, expected: set[str]
) -> None:
    chosen = {"kind": method}
    assert (
        changed(
            keys(table, method=chosen),
            keys(table, method=chosen, student={"training": {"epochs": 7}}),
        )
        == expected
    )


def test_joint_training_builds_on_no_stage_and_other_methods_on_the_previous_task(
    table: ImageTable,
) -> None:
    def upstream(method: str) -> list[tuple[str, ...]]:
        experiment = Experiment.model_validate(
            {"scenario": {"class_order": list(range(8))}, "method": {"kind": method}}
        )
        stages = stage_graph(
            experiment, build_scenario(table, experiment.scenario, 0.0, experiment.seed)
        )
        names = {stage.key: stage.name for stage in stages}
        return [tuple(names[key] for key in stage.upstream) for stage in stages[:4]]

    assert upstream("joint") == [(), (), (), ()]
    assert upstream("finetuning") == [(), (), ("teacher[0]",), ("student[0]",)]
    assert upstream("dual_teacher") == [
        (),
        ("teacher[0]",),
        ("teacher[0]",),
        ("student[0]", "teacher[1]"),
    ]
