"""The arithmetic of a plan: cases worked by hand, and epochs compared with those of real stages."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.backbones import ResNet20Config
from orchestrator.config.overrides import with_values
from orchestrator.config.roles import Role
from orchestrator.data.scenario import Split, Task
from orchestrator.methods.method import method_of
from orchestrator.methods.views import Views, extract_views
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import build_backbone
from orchestrator.models.backbones.cuts import multiply_adds
from orchestrator.pipelines.planning.cost import (
    MAX_MANIFESTS,
    Kind,
    Measurement,
    Rate,
    measurements,
    rates,
)
from orchestrator.pipelines.planning.plan import Plan, critical_path_seconds, plan
from orchestrator.pipelines.planning.planned_stages import PlannedStage, StageState
from orchestrator.stages import Stage, StageRunner, StageStore, prepare_work
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.retention import newest_keys
from orchestrator.stages.shared_work import num_image_passes
from orchestrator.stages.stage_reading import num_training_images
from tests.every_method import METHODS, small


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Restore environment variables, which preparing for Ray sets."""
    with patch.dict(os.environ):
        yield


BACKBONE = ResNet20Config()


def _with(experiment: Experiment, **changes: object) -> Experiment:
    return Experiment.model_validate({**experiment.model_dump(), **changes})


def _planned(
    role: Role, task: int, seconds: float | None, upstream: Sequence[str] = (), workers: int = 1
) -> PlannedStage:
    stage = Stage(role, Task(task, range(0), 0), f"{role}{task}", tuple(upstream))
    return PlannedStage(
        stage, StageState.TO_COMPUTE, 1, 1, workers, None if seconds is None else seconds * workers
    )


def _chain(teacher: Sequence[float | None], student: Sequence[float | None]) -> list[PlannedStage]:
    """Return a graph with teacher[t] after teacher[t-1], and student[t] after student[t-1] and
    teacher[t].
    """
    stages = []
    for task, (of_teacher, of_student) in enumerate(zip(teacher, student, strict=True)):
        before = task - 1
        stages.append(_planned("teacher", task, of_teacher, [f"teacher{before}"] if task else []))
        stages.append(
            _planned(
                "student",
                task,
                of_student,
                [*([f"student{before}"] if task else []), f"teacher{task}"],
            )
        )
    return stages


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        # teacher  0-5 5-7 7-9; student waits for teacher[0]: 5-8 8-11 11-14
        ((5, 2, 2), (3, 3, 3), 14),
        # teacher 0-5 5-10 10-15; student waits each time: 5-6 10-11 15-16
        ((5, 5, 5), (1, 1, 1), 16),
        # stored teachers cost nothing: the students one after another
        ((0, 0, 0), (3, 4, 5), 12),
        ((0,), (0,), 0),
    ],
)
def test_the_lanes_run_in_parallel_and_a_student_waits_for_its_teacher(
    teacher: Sequence[float], student: Sequence[float], expected: float
) -> None:
    assert critical_path_seconds(_chain(teacher, student)) == expected


def test_stages_of_one_lane_run_in_sequence_even_if_independent() -> None:
    assert (
        critical_path_seconds(
            [_planned("teacher", 0, 4), _planned("teacher", 1, 4), _planned("student", 0, 3)]
        )
        == 8
    )


def test_workers_share_the_work_of_a_stage() -> None:
    planned = PlannedStage(_planned("teacher", 0, 1).stage, StageState.TO_COMPUTE, 1, 1, 4, 20.0)
    assert planned.seconds == 5.0
    assert critical_path_seconds([planned]) == 5.0


def test_one_stage_without_an_estimate_leaves_the_plan_without_one() -> None:
    assert critical_path_seconds(_chain((1, None), (1, 1))) is None


def test_the_cost_of_a_role_is_the_median_over_its_measured_image_passes() -> None:
    tiny = [Measurement("teacher", 2, 4.0)] * 4  # as a run with one image a class leaves them
    assert rates([Measurement("teacher", 1000, 20.0), *tiny]) == {"teacher": Rate(0.02)}
    measured = [
        Measurement("teacher", 10, 20.0),
        Measurement("teacher", 10, 30.0),
        Measurement("teacher", 1, 500.0),
    ]
    assert rates([*measured, Measurement("student", 4, 1.0)]) == {
        "teacher": Rate(3.0, 1.5),
        "student": Rate(0.25),
    }
    assert rates([]) == {}


def test_a_rate_of_another_network_is_scaled_by_its_multiply_adds_and_marked_uncertain() -> None:
    digits = Measurement("teacher", 100, 1.0, multiply_adds=1000)
    photographs: dict[Kind, int | None] = {"teacher": 100_000}
    assert rates([digits], photographs) == {"teacher": Rate(1.0, 10.0)}
    near = Measurement("teacher", 10, 5.0, multiply_adds=50_000)
    found = rates([digits, near], photographs)["teacher"]
    assert found.worker_seconds == 1.0
    assert found.factor == pytest.approx(math.sqrt(2))
    same = Measurement("teacher", 10, 4.0, multiply_adds=100_000)
    assert rates([digits, near, same], photographs) == {"teacher": Rate(0.4)}
    earlier = Measurement("teacher", 10, 4.0)
    assert rates([earlier], photographs) == {"teacher": Rate(0.4)}, "as before, unscaled"
    assert rates([digits, earlier], {"teacher": None})["teacher"].worker_seconds == 0.01


def test_a_stage_without_epochs_passes_its_images_once() -> None:
    assert [num_image_passes(epochs, 7) for epochs in (0, 1, 3)] == [7, 7, 21]


# --- epochs and images ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*METHODS, "fine-tuned extractor"])
def test_a_stage_has_as_many_epochs_as_it_will_report(
    tiny_experiment: Experiment, tmp_path: Path, method: str
) -> None:
    teacher = tiny_experiment.model_dump()["teacher"] | {
        "training": {"epochs": 2},
        "refinement": {"epochs": 3},
    }
    changes: dict[str, Any] = {"method": small(method), "teacher": teacher}
    if method == "fine-tuned extractor":
        changes = {"teacher": teacher | {"extractor": {"kind": "fine_tuned"}}}
    scenario = {
        "num_base_classes": 2,
        "classes_per_task": 2,
        "class_order": [0, 1, 2, 3],
        "max_images_per_class": 20,
    }
    experiment = _with(tiny_experiment, scenario=scenario, store={"uri": str(tmp_path)}, **changes)
    work = prepare_work(experiment)
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
        values = work.store.values_of(stage.key)
        assert values is not None
        assert method_of(experiment).num_epochs(
            stage.role, stage.task.index == 0, experiment
        ) == len(values["epochs"]), stage.name


@pytest.mark.parametrize("method", METHODS)
def test_a_stage_learns_its_new_classes_and_joint_training_all_classes(
    tiny_experiment: Experiment, method: str
) -> None:
    work = prepare_work(_with(tiny_experiment, method=small(method)))
    images = {
        stage.name: num_training_images(stage, work.experiment, work.scenario)
        for stage in work.stages
    }
    base = images["teacher[0]"]
    assert base > 40, "max_images_per_class = 20 holds for the later tasks only"
    later = [base + 40, base + 80] if method == "joint" else [40, 40]
    for role in ("teacher", "student"):
        assert [images[f"{role}[{task}]"] for task in range(3)] == [base, *later]


# --- measured stages ------------------------------------------------------------------------------


def _stage_values(name: str, seconds: float, **more: object) -> dict[str, Any]:
    own = {
        "seconds": 2 * seconds,
        "seconds_without_features": seconds,
        "num_train_workers": 1,
        "num_images": 5,
    }
    return {"stage": name, **own, "epochs": [{}, {}], **more}


def _table_values(seconds: float, **more: object) -> dict[str, Any]:
    backbone = {"backbone": BACKBONE.model_dump(mode="json")}
    return {
        "features_of": "cat",
        **backbone,
        "num_images": 10,
        "seconds": seconds,
        "num_train_workers": 1,
        **more,
    }


def _measured(tmp_path: Path, *values: dict[str, Any]) -> list[Measurement]:
    store = StageStore(str(tmp_path / "store"))
    for number, each in enumerate(values):
        store.save(f"{number:064x}", Artifact({}, each))
        manifest = Path(store.path(f"{number:064x}", "manifest.json"))
        os.utime(manifest, (1000 - number,) * 2)
    return measurements(store, BACKBONE)


def test_a_stored_stage_measures_its_worker_seconds_and_its_epochs_times_images(
    tmp_path: Path,
) -> None:
    values = _stage_values("teacher[0]", 3.0, num_train_workers=2)
    student = _stage_values("student[0]", 4.0, num_images=7)
    recorded = {**student, "image_passes": 9, "seconds_of_shared": 1.0}
    assert _measured(tmp_path, values, student, recorded) == [
        Measurement("teacher", 2 * 5, 6.0, with_shared=True),
        Measurement("student", 2 * 7, 4.0, with_shared=True),
        Measurement("student", 9, 3.0),
    ]


def test_a_table_of_features_measures_its_worker_seconds_and_its_images(tmp_path: Path) -> None:
    assert _measured(tmp_path, _table_values(3.0, num_train_workers=2)) == [
        Measurement("features", 10, 6.0)
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"rows": {}, "sample_accuracy": 0.5},
        {"stage": "teacher[0]", "epochs": []},
        {
            "stage": "teacher[0]",
            "seconds": 9.0,
            "num_train_workers": 1,
            "num_images": 5,
            "epochs": [{}],
        },
        _stage_values("judge[0]", 3.0),
        _stage_values("teacher[0]", 3.0, epochs=3),
        _table_values(3.0, backbone={"kind": "efficientnet_lite0"}),
        {"features_of": "cat"},
    ],
    ids=[
        "an evaluation",
        "an old version",
        "a version whose seconds are those of features, too",
        "an unknown role",
        "another meaning",
        "a table of another extractor",
        "a table of an older version",
    ],
)
def test_manifests_without_measurements_are_skipped(tmp_path: Path, values: dict[str, Any]) -> None:
    assert _measured(tmp_path, values) == []


def test_only_the_newest_manifests_are_read(tmp_path: Path) -> None:
    measured = _measured(
        tmp_path,
        *(_stage_values("teacher[0]", float(number)) for number in range(MAX_MANIFESTS + 1)),
    )
    assert [measurement.worker_seconds for measurement in measured] == [
        float(number) for number in range(MAX_MANIFESTS)
    ]


# --- the plan -------------------------------------------------------------------------------------


def _fresh(
    tiny_experiment: Experiment, tmp_path: Path, execution: dict[str, Any]
) -> tuple[Experiment, StageStore]:
    experiment = _with(tiny_experiment, store={"uri": str(tmp_path / "store")}, execution=execution)
    return experiment, StageStore(experiment.store.uri)


def _plan_with_measured_stages(
    tiny_experiment: Experiment, tmp_path: Path, execution: dict[str, Any]
) -> Plan:
    """Return a plan whose store says that a teacher costs 0.1 s an image and epoch, and a student
    0.01 s.
    """
    experiment, store = _fresh(tiny_experiment, tmp_path, execution)
    store.save("1" * 64, Artifact({}, _stage_values("teacher[7]", 20.0, num_images=100)))
    store.save("2" * 64, Artifact({}, _stage_values("student[7]", 2.0, num_images=100)))
    return plan(experiment)


def test_a_plan_multiplies_a_stages_own_epochs_and_images(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    made = _plan_with_measured_stages(tiny_experiment, tmp_path, {"kind": "in_process"})
    base = made.stages[0].num_images
    # teacher: 1 epoch of refinement, and in the first task 1 of the extractor; student: 2 epochs
    expected = [2 * base * 0.1, 2 * base * 0.01, 40 * 0.1, 2 * 40 * 0.01, 40 * 0.1, 2 * 40 * 0.01]
    assert [stage.seconds for stage in made.stages] == pytest.approx(expected)
    assert made.worker_seconds == pytest.approx(sum(expected))
    assert made.wall_seconds == pytest.approx(sum(expected)), (
        "in process one stage follows the other"
    )


def test_under_ray_the_wall_time_is_the_critical_path_shared_by_the_workers(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    execution = {
        "kind": "ray",
        "teacher": {"num_train_workers": 2, "num_cpus_per_worker": 0.1},
        "student": {"num_train_workers": [1, 3]},
    }
    made = _plan_with_measured_stages(tiny_experiment, tmp_path, execution)
    base = made.stages[0].num_images
    teacher = [base * 0.1, 2.0, 2.0]
    student = [2 * base * 0.01, 0.8, 0.8]
    assert [
        stage.seconds for stage in made.stages if stage.stage.role == "teacher"
    ] == pytest.approx(teacher)
    first = teacher[0] + student[0]
    second = max(first, teacher[0] + 2.0) + 0.8
    third = max(second, teacher[0] + 4.0) + 0.8
    assert made.wall_seconds == pytest.approx(third)
    assert made.worker_seconds == pytest.approx(2 * sum(teacher) + sum(student))


def test_without_a_measured_stage_of_a_role_there_is_no_estimate(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment, store = _fresh(tiny_experiment, tmp_path, {"kind": "in_process"})
    store.save("1" * 64, Artifact({}, _stage_values("teacher[7]", 20.0, num_images=100)))
    made = plan(experiment)
    assert made.kinds_without_estimate == ["student"]
    assert {stage.stage.role for stage in made.stages if stage.seconds is None} == {"student"}
    assert made.worker_seconds is None
    assert made.wall_seconds is None


def test_a_stored_stage_costs_nothing_and_a_started_one_counts_in_full(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment, store = _fresh(tiny_experiment, tmp_path, {"kind": "in_process"})
    first, second, *_ = prepare_work(experiment).stages
    store.save(first.key, Artifact({}, _stage_values(first.name, 1.0)))
    store.save("2" * 64, Artifact({}, _stage_values("student[7]", 2.0, num_images=100)))
    store.save_progress(second.key, "student", Artifact({}))
    made = plan(experiment)
    assert [stage.state.value for stage in made.stages] == ["stored", "begun", *["to compute"] * 4]
    assert [made.num_in(state) for state in StageState] == [1, 1, 4]
    assert made.stages[0].seconds == 0.0
    assert made.stages[1].seconds == pytest.approx(2 * made.stages[1].num_images * 0.01)


def test_lanes_that_do_not_fit_this_machine_are_reported_not_raised(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment, _ = _fresh(
        tiny_experiment, tmp_path, {"kind": "ray", "teacher": {"num_cpus_per_worker": 5000}}
    )
    made = plan(experiment)
    assert "the lanes need 5001 CPU at the same time" in made.shortage
    assert made.available["CPU"] >= 1
    assert (
        plan(_fresh(tiny_experiment, tmp_path, {"kind": "in_process", "device": "cpu"})[0]).shortage
        == ""
    )


def test_a_remote_cluster_is_not_contacted(tiny_experiment: Experiment, tmp_path: Path) -> None:
    execution = {"kind": "ray", "address": "127.0.0.1:1", "teacher": {"num_cpus_per_worker": 5000}}
    made = plan(_fresh(tiny_experiment, tmp_path, execution)[0])
    assert (made.available, made.shortage) == ({}, "")


def test_a_plan_writes_nothing_into_the_store(tiny_experiment: Experiment, tmp_path: Path) -> None:
    experiment, store = _fresh(tiny_experiment, tmp_path, {"kind": "in_process"})
    plan(experiment)
    assert newest_keys(store, MAX_MANIFESTS) == []


def test_a_plan_reads_the_measurements_that_a_real_stage_stores(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment, store = _fresh(tiny_experiment, tmp_path, {"kind": "in_process"})
    work = prepare_work(experiment)
    StageRunner(work, torch.device("cpu"), lambda _: None).obtain(work.stages[0])
    manifest = json.loads(Path(store.path(work.stages[0].key, "manifest.json")).read_text())
    [measured] = measurements(store, experiment.teacher.backbone)
    assert measured.kind == "teacher"
    extractor = build_backbone(experiment.teacher.backbone, work.scenario.shape).eval()
    image = torch.zeros(1, *work.scenario.shape, dtype=torch.uint8)
    assert measured.multiply_adds == multiply_adds(extractor, image) > 1000
    assert math.isclose(measured.worker_seconds, manifest["values"]["seconds_without_features"])
    assert measured.num_image_passes == 2 * num_training_images(
        work.stages[0], experiment, work.scenario
    )


# --- tables of features ---------------------------------------------------------------------------


def test_tables_are_counted_once_with_the_first_stage_that_needs_them_until_stored(
    pretrained_experiment: Experiment,
) -> None:
    made = plan(pretrained_experiment)
    images = {
        split: sum(len(rows) for rows in made.work.scenario.indices[split]) for split in Split
    }
    views = 1 + pretrained_experiment.teacher.num_views
    assert (
        made.num_unseen_images
        == views * images[Split.TRAIN] + images[Split.VALIDATION] + images[Split.TEST]
    )
    assert {planned.stage.name for planned in made.stages if planned.tables} == {
        "teacher[0]",
        "teacher[1]",
    }
    assert made.kinds_without_estimate == ["teacher", "student", "features"]

    for stage in made.work.stages:
        StageRunner(made.work, torch.device("cpu"), lambda _: None).obtain(stage)
    tables = {table.key for planned in made.stages for table in planned.tables}
    stored = {
        key: made.work.store.values_of(key) or {} for key in newest_keys(made.work.store, 1000)
    }
    assert tables == {key for key, values in stored.items() if "features_of" in values}, (
        "planned is what a run makes"
    )
    assert plan(pretrained_experiment).num_unseen_images == 0

    another_margin = plan(
        with_values(pretrained_experiment, {"teacher.joint_embedding.pull_margin": 0.4})
    )
    assert another_margin.num_in(StageState.TO_COMPUTE) == len(another_margin.stages)
    assert (another_margin.num_unseen_images, another_margin.kinds_without_estimate) == (0, [])


def test_images_without_features_are_estimated_from_measured_tables(
    pretrained_experiment: Experiment,
) -> None:
    work = prepare_work(pretrained_experiment)
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages[:2]:  # the first task
        runner.obtain(stage)
    made = plan(pretrained_experiment)
    rate = rates(measurements(work.store, pretrained_experiment.teacher.backbone))["features"]
    own = [planned.own_worker_seconds or 0.0 for planned in made.stages]
    assert made.num_unseen_images > 0
    assert made.worker_seconds == pytest.approx(
        sum(own) + made.num_unseen_images * rate.worker_seconds
    )


def test_a_stored_stage_without_evaluation_needs_tables_of_its_evaluation_images(
    pretrained_experiment: Experiment,
) -> None:
    work = prepare_work(pretrained_experiment)
    teacher = work.stages[0]
    work.store.save(teacher.key, Artifact({}, _stage_values(teacher.name, 1.0)))
    tables = plan(pretrained_experiment).stages[0].tables
    judged = [
        rows
        for split in (Split.VALIDATION, Split.TEST)
        for rows in work.scenario.indices[split][:2]
    ]
    assert sorted(table.num_images for table in tables) == sorted(len(rows) for rows in judged)
    work.store.save(evaluation_key(teacher, work.scenario), Artifact({}, {}))
    assert plan(pretrained_experiment).stages[0].tables == []


def test_the_cost_of_the_extractor_is_counted_for_its_tables_and_not_for_the_stage(
    pretrained_experiment: Experiment,
) -> None:
    work, clock, delay = prepare_work(pretrained_experiment), time.perf_counter, [0.0]

    def slow(*arguments: object) -> Views:
        delay[0] += 1000.0
        return extract_views(*arguments)  # type: ignore[arg-type]

    with (
        patch("orchestrator.stages.feature_tables.extract_views", slow),
        patch("time.perf_counter", lambda: clock() + delay[0]),
    ):
        StageRunner(work, torch.device("cpu"), lambda _: None).obtain(work.stages[0])
    stage = work.store.values_of(work.stages[0].key) or {}
    assert 0 < stage["seconds_without_features"] < 1000
    assert stage["seconds"] > 2000, "the stage's own time has the tables that were made for it"
    tables = [
        values
        for key in newest_keys(work.store, 1000)
        if "features_of" in (values := work.store.values_of(key) or {})
    ]
    assert len(tables) == delay[0] / 1000 == 6, "three splits of two classes"
    assert all(1000 <= table["seconds"] < 2000 for table in tables)
