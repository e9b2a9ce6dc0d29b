"""Plans of students that inherit layers: the passes in which layers are taught are recorded with
what computed them, and estimated for other configurations.
"""

from pathlib import Path

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.data.scenario import Split
from orchestrator.models.artifact import Artifact
from orchestrator.pipelines.planning.cost import measurements
from orchestrator.pipelines.planning.plan import Plan, plan
from orchestrator.stages import StageRunner, StageStore, Work, prepare_work
from orchestrator.stages.retention import newest_keys
from orchestrator.stages.shared_work import own_image_passes
from tests.unlabeled import noise, write_unlabeled

NUM_UNLABELED, CHOSEN, VIEWS, EPOCHS, ROUNDS = 9, 50, 2, 3, 2


@pytest.fixture
def taught(tiny_experiment: Experiment, tmp_path: Path) -> Experiment:
    camera = write_unlabeled(tmp_path / "camera.parquet", noise(NUM_UNLABELED))
    return with_values(
        tiny_experiment,
        {
            "store.uri": str(tmp_path / "store"),
            "scenario.class_order": [0, 1, 2, 3],
            "data.unlabeled": {"kind": "parquet", "path": str(camera)},
            "teacher.backbone": {"kind": "small_cnn_tiny", "features": {"kind": "stages"}},
            "teacher.num_views": 0,
            "student.backbone": {"kind": "inherited", "until": "stage2"},
            "student.teaching": {
                "training": {"epochs": EPOCHS},
                "num_views": VIEWS,
                "max_images": CHOSEN,
            },
            "student.transfer_rounds": ROUNDS,
        },
    )


def _compute(experiment: Experiment) -> Work:
    work = prepare_work(experiment)
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    return work


def _shared_passes(made: Plan, stage: str) -> list[tuple[str, int]]:
    [planned] = [it for it in made.stages if it.stage.name == stage]
    return [(table.kind, table.num_images) for table in planned.tables]


def test_a_plan_counts_the_passes_of_teaching_once_and_estimates_them_from_other_stages(
    taught: Experiment,
) -> None:
    before = plan(taught)
    work = before.work
    base = sum(len(work.scenario.indices[Split.TRAIN][c]) for c in range(2))
    judged = [
        ("extraction", len(work.scenario.indices[split][c]))
        for c in range(4)
        for split in (Split.VALIDATION, Split.TEST)
    ]
    first = [
        ("extraction", VIEWS * CHOSEN),
        ("teaching", VIEWS * CHOSEN * EPOCHS),
        ("extraction", base),
        ("extraction", NUM_UNLABELED),
        *judged[:4],
    ]
    assert _shared_passes(before, "student[0]") == first
    assert _shared_passes(before, "student[1]") == [("extraction", 40), *judged[4:]]
    assert before.num_unseen_images == 0, "no pre-trained extractor has tables"
    assert set(before.kinds_without_estimate) == {"teacher", "student", "extraction", "teaching"}

    _compute(taught)
    assert plan(taught).num_in(before.stages[0].state) == 0
    found = measurements(work.store, taught.teacher.backbone)
    passes = {(it.kind, it.num_image_passes) for it in found if it.kind != "teacher"}
    own = {("student", ROUNDS * base), ("student", ROUNDS * 40)}
    assert passes == {*first, ("extraction", 40), *judged, *own}, "planned is what a run does"
    networks = {it.multiply_adds for it in found if it.kind in {"extraction", "teaching"}}
    assert len(networks) == 2, "the teacher's extractor, and its first stages"
    assert None not in networks

    warmer = plan(with_values(taught, {"student.temperature": 3.0}))
    assert _shared_passes(warmer, "student[0]") == [], "the store has taught layers and features"
    assert warmer.kinds_without_estimate == []

    [seconds] = [it.worker_seconds for it in found if it.kind == "teaching"]
    longer = plan(with_values(taught, {"student.teaching.num_views": 4 * VIEWS}))
    [teaching] = [it for it in longer.stages[1].tables if it.kind == "teaching"]
    assert teaching.worker_seconds == pytest.approx(4 * seconds)
    assert longer.worker_seconds is not None
    assert longer.worker_seconds > 4 * seconds


def test_stages_of_earlier_versions_are_estimated_as_before(taught: Experiment) -> None:
    store = StageStore(taught.store.uri)
    for number, role in enumerate(("teacher", "student")):
        values = {
            "stage": f"{role}[0]",
            "seconds_without_features": 5.0,
            "num_train_workers": 1,
            "num_images": 10,
            "epochs": [{}] * 5,
        }
        store.save(f"{number:064x}", Artifact({}, values))
    made = plan(taught)
    assert all(not it.tables for it in made.stages)
    base = made.stages[1].num_images
    assert made.stages[1].own_worker_seconds == pytest.approx((ROUNDS + EPOCHS) * base * 0.1)
    assert made.kinds_without_estimate == []
    assert len(newest_keys(store, 10)) == 2


def test_a_student_that_also_imitates_mixtures_passes_over_each_image_twice(
    tiny_experiment: Experiment, pretrained_experiment: Experiment
) -> None:
    def passes(experiment: Experiment) -> int:
        work = prepare_work(experiment)
        return own_image_passes(work.stages[3], work)

    assert passes(tiny_experiment) == 2 * 2 * 40
    assert passes(with_values(tiny_experiment, {"student.mixture_weight": 0.0})) == 2 * 40
    assert passes(pretrained_experiment) == 2 * 16, "features are known for single images only"
