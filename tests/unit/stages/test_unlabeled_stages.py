"""Images without labels in stages: which stages learn from them, which values are computed once,
and how many of them the last teacher is sure of.
"""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.data import Split
from orchestrator.data import unlabeled as pools
from orchestrator.methods.dual_teacher import METHOD
from orchestrator.methods.method import LearningInputs
from orchestrator.models.network import extract_features
from orchestrator.stages import StageRunner, Work, prepare_work
from orchestrator.stages.events import FeaturesComputed, StageEvent
from orchestrator.stages.graph import evaluation_key
from tests.unlabeled import noise, write_unlabeled

NUM_IMAGES = 10


@pytest.fixture
def camera(tmp_path: Path) -> str:
    return str(write_unlabeled(tmp_path / "camera.parquet", noise(NUM_IMAGES)))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[LearningInputs]:
    """Record the images that the method receives from here on."""
    inputs: list[LearningInputs] = []
    learn = METHOD.learn

    def noting(given: LearningInputs, *others: object) -> object:
        inputs.append(given)
        return learn(given, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(METHOD, "learn", noting)
    return inputs


def inheriting(experiment: Experiment, **changes: object) -> Experiment:
    """Return the experiment with an inherited student, which learns from images without labels."""
    backbone = {"kind": "inherited", "until": "stage1"}
    return with_values(experiment, {"student.backbone": backbone, **changes})


def with_camera(experiment: Experiment, path: str, **changes: object) -> Experiment:
    unlabeled = {"kind": "parquet", "path": path}
    return inheriting(experiment, **{"data.unlabeled": unlabeled, **changes})


def computed(experiment: Experiment) -> tuple[Work, list[StageEvent]]:
    work, events = prepare_work(experiment), list[StageEvent]()
    runner = StageRunner(work, torch.device("cpu"), events.append)
    for stage in work.stages:
        runner.obtain(stage)
    return work, events


def keys_of(experiment: Experiment, role: str) -> list[str]:
    return [stage.key for stage in prepare_work(experiment).stages if stage.role == role]


# --- keys -----------------------------------------------------------------------------------------


def test_only_stages_that_learn_from_images_without_labels_have_them_in_their_keys(
    tiny_experiment: Experiment, camera: str, tmp_path: Path
) -> None:
    other = str(write_unlabeled(tmp_path / "other.parquet", noise(NUM_IMAGES, seed=1)))
    without, one, two = (
        inheriting(tiny_experiment),
        with_camera(tiny_experiment, camera),
        with_camera(tiny_experiment, other),
    )
    of_students = [keys_of(each, "student") for each in (without, one, two)]
    assert not set(of_students[0]) & set(of_students[1])
    assert not set(of_students[1]) & set(of_students[2])
    assert keys_of(without, "teacher") == keys_of(one, "teacher") == keys_of(two, "teacher")


def test_the_location_of_images_without_labels_is_in_no_key(
    tiny_experiment: Experiment, camera: str, tmp_path: Path
) -> None:
    moved = str(write_unlabeled(tmp_path / "moved" / "again.parquet", noise(NUM_IMAGES)))
    one, two = (with_camera(tiny_experiment, path) for path in (camera, moved))
    assert keys_of(one, "student") == keys_of(two, "student")


@pytest.mark.parametrize(
    "changes",
    [{"method.kind": "analytic"}, {"student.backbone.kind": "small_cnn_tiny"}],
    ids=["another method", "a student with weights of its own"],
)
def test_if_no_stage_learns_from_images_without_labels_they_are_never_read(
    tiny_experiment: Experiment, changes: dict[str, object]
) -> None:
    baseline = with_values(tiny_experiment, changes)
    unlabeled = {"kind": "parquet", "path": "/nowhere.parquet"}
    work = prepare_work(with_values(baseline, {"data.unlabeled": unlabeled}))
    assert work.scenario.unlabeled is None
    assert [stage.key for stage in work.stages] == [
        stage.key for stage in prepare_work(baseline).stages
    ]


def test_images_without_labels_change_only_the_last_teachers_evaluation(
    tiny_experiment: Experiment, camera: str
) -> None:
    without, with_them = (
        prepare_work(each)
        for each in (inheriting(tiny_experiment), with_camera(tiny_experiment, camera))
    )
    differing = [
        stage.name
        for stage, same in zip(with_them.stages, without.stages, strict=True)
        if stage.role == "teacher"
        and evaluation_key(stage, with_them.scenario) != evaluation_key(same, without.scenario)
    ]
    assert differing == ["teacher[2]"]


# --- learning -------------------------------------------------------------------------------------


def test_every_task_of_a_student_gets_all_images_without_labels_and_a_teacher_none(
    tiny_experiment: Experiment, camera: str, seen: list[LearningInputs], tmp_path: Path
) -> None:
    experiment = with_camera(tiny_experiment, camera, **{"store.uri": str(tmp_path / "store")})
    computed(experiment)
    assert [inputs.role for inputs in seen] == 3 * ["teacher", "student"]
    for inputs in seen:
        if inputs.role == "teacher":
            assert inputs.unlabeled is None
        else:
            assert inputs.unlabeled is not None
            assert torch.equal(inputs.unlabeled.images, torch.from_numpy(noise(NUM_IMAGES)))
        assert inputs.unlabeled_views is None, "the extractor is not pre-trained"


def test_features_of_images_without_labels_are_computed_once_part_by_part(
    pretrained_experiment: Experiment,
    camera: str,
    seen: list[LearningInputs],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "IMAGES_PER_PART", 4)
    without, _ = computed(inheriting(pretrained_experiment))
    seen.clear()
    work, events = computed(with_camera(pretrained_experiment, camera))
    finished = [
        event
        for event in events
        if isinstance(event, FeaturesComputed) and event.num_done == event.num_images
    ]
    assert [(event.stage, event.num_images) for event in finished] == [("student[0]", NUM_IMAGES)]
    assert [inputs.role for inputs in seen] == ["student", "student"], "teachers are in the store"
    for inputs in seen:
        assert inputs.teacher is not None
        assert inputs.unlabeled is not None
        assert inputs.unlabeled_views is not None
        assert [len(views.clean) for views in inputs.unlabeled_views] == [4, 4, 2]
        assert all(len(views.varied) == 0 for views in inputs.unlabeled_views)
        expected = extract_features(inputs.teacher.network.extractor, inputs.unlabeled.images)
        found = torch.cat([views.clean for views in inputs.unlabeled_views])
        torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)
    assert without.scenario.unlabeled is None
    assert work.scenario.unlabeled is not None


def test_excluded_images_without_labels_have_no_features(
    pretrained_experiment: Experiment,
    seen: list[LearningInputs],
    tmp_path: Path,
) -> None:
    table = prepare_work(pretrained_experiment).scenario.table
    images = [*noise(3), table.images[table.is_test][0], *noise(6)[3:]]
    path = str(write_unlabeled(tmp_path / "mixed.parquet", images))
    work, _ = computed(with_camera(pretrained_experiment, path))
    *_, inputs = [inputs for inputs in seen if inputs.role == "student"]
    assert inputs.unlabeled is not None
    assert inputs.unlabeled_views is not None
    assert inputs.teacher is not None
    assert torch.equal(inputs.unlabeled.images, torch.from_numpy(noise(6)))
    expected = extract_features(inputs.teacher.network.extractor, inputs.unlabeled.images)
    [views] = inputs.unlabeled_views
    torch.testing.assert_close(views.clean.float(), expected, rtol=1e-3, atol=1e-3)
    certainty = work.evaluation_of(work.stages[-2]).certainty
    assert certainty is not None
    assert certainty.assigned.sum() == 6


# --- the teacher's certainty ----------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["tiny_experiment", "pretrained_experiment"])
def test_the_last_teachers_evaluation_counts_the_images_that_it_is_sure_of(
    fixture: str,
    request: pytest.FixtureRequest,
    camera: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "IMAGES_PER_PART", 4)
    experiment = request.getfixturevalue(fixture)
    work, _ = computed(with_camera(experiment, camera, **{"store.uri": str(tmp_path / "store")}))
    *others, last = [stage for stage in work.stages if stage.role == "teacher"]
    assert all(work.evaluation_of(stage).certainty is None for stage in others)
    certainty = work.evaluation_of(last).certainty
    assert certainty is not None
    network = work.model_from(work.artifact_of(last), last, torch.device("cpu")).network
    validation = work.scenario.images_of(Split.VALIDATION, range(last.task.num_seen_classes))
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(noise(NUM_IMAGES))).logits
        judging = network(validation.images).logits
    factor = max(
        (2 ** (step / 2) for step in range(-6, 11)),
        key=lambda it: -float(functional.cross_entropy(it * judging.double(), validation.labels)),
    )
    probabilities = (factor * logits).softmax(dim=1)
    for c in range(logits.shape[1]):
        ours = probabilities.argmax(dim=1) == c
        assert certainty.assigned[c] == ours.sum()
        assert certainty.sure[c] == (ours & (probabilities[:, c] >= 0.9)).sum()


def test_earlier_stages_are_reused_and_only_the_last_teacher_is_evaluated_again(
    tiny_experiment: Experiment, camera: str, tmp_path: Path, seen: list[LearningInputs]
) -> None:
    experiment = inheriting(tiny_experiment, **{"store.uri": str(tmp_path / "store")})
    computed(experiment)
    seen.clear()
    work, _ = computed(with_camera(experiment, camera))
    assert [inputs.role for inputs in seen] == 3 * ["student"]
    assert work.evaluation_of(work.stages[-2]).certainty is not None
