"""The last models' beliefs about training labels are computed once, on request."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.data.scenario import Split
from orchestrator.errors import StorageUnavailableError
from orchestrator.models.network import predict
from orchestrator.stages import StageRunner, Work, label_beliefs, prepare_work, runner
from orchestrator.stages.label_beliefs import beliefs_key, classes_believed
from orchestrator.stages.store import StageStore

CPU = torch.device("cpu")


def computed(experiment: Experiment, judges_labels: bool = True) -> Work:
    work = replace(prepare_work(experiment), judges_labels=judges_labels)
    stages = StageRunner(work, CPU, lambda _: None)
    for stage in work.stages:
        stages.obtain(stage)
    return work


@pytest.fixture(scope="module")
def finished(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Work:
    store = str(tmp_path_factory.mktemp("beliefs"))
    changes = {"store.uri": store, "scenario.class_order": [0, 1, 2, 3]}
    return computed(with_values(tiny_experiment, changes))


@pytest.fixture
def copied(finished: Work, tmp_path: Path) -> Work:
    shutil.copytree(finished.store.root, tmp_path / "store")
    return replace(finished, store=StageStore(str(tmp_path / "store")))


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_the_last_model_of_a_role_judges_every_training_image(finished: Work, role: str) -> None:
    stage = next(stage for stage in finished.stages[-2:] if stage.role == role)
    found = finished.beliefs_of(stage)
    data = finished.scenario.images_of(Split.TRAIN, range(4))
    model = finished.model_from(finished.artifact_of(stage), stage, CPU)
    logits = predict(model.network, data.images)
    assert torch.equal(found.answers, logits.argmax(dim=1))
    # one factor for all: for some factor, the softmax gives the stored belief of every label
    given = logits.gather(1, data.labels[:, None])[:, 0]
    factors = [2 ** (step / 2) for step in range(-6, 11)]
    believed = [torch.softmax(logits * factor, dim=1) for factor in factors]
    errors = [
        float((of_all.gather(1, data.labels[:, None])[:, 0] - found.believed).abs().max())
        for of_all in believed
    ]
    assert min(errors) < 1e-4
    assert len(given) == len(found.believed)


def test_only_the_last_models_judge_labels(finished: Work) -> None:
    stored = [
        stage.name
        for stage in finished.stages
        if finished.store.values_of(beliefs_key(stage, finished.scenario)) is not None
    ]
    assert stored == ["teacher[1]", "student[1]"]


def test_labels_are_not_judged_unless_requested(copied: Work) -> None:
    quiet = replace(copied, judges_labels=False, store=StageStore(f"{copied.store.root}-other"))
    shutil.copytree(copied.store.root, quiet.store.root)
    for stage in quiet.stages[-2:]:
        shutil.rmtree(quiet.store.path(beliefs_key(stage, quiet.scenario)))
        StageRunner(quiet, CPU, lambda _: None).obtain(stage)
        assert quiet.is_stored(stage)
        with pytest.raises(StorageUnavailableError, match=r"on the labels"):
            quiet.beliefs_of(stage)


def test_stored_beliefs_are_not_computed_again_and_missing_ones_are(
    copied: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = copied.stages[-1]
    before = copied.beliefs_of(stage)

    def judges(*_: object) -> None:
        msg = "labels were judged again"
        raise AssertionError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(runner, "judge_labels", judges)
        StageRunner(copied, CPU, lambda _: None).obtain(stage)
    shutil.rmtree(copied.store.path(beliefs_key(stage, copied.scenario)))
    assert not copied.is_stored(stage)
    with monkeypatch.context() as patched:
        patched.setattr(runner, "compute_stage", judges)
        StageRunner(copied, CPU, lambda _: None).obtain(stage)
    assert torch.equal(copied.beliefs_of(stage).believed, before.believed)


def test_with_feature_tables_no_image_is_predicted_again(
    pretrained_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inherited student's features are the first columns of the teacher's."""
    inherits = {
        "teacher.backbone.features": {"kind": "stages"},
        "student.backbone": {"kind": "inherited", "until": "stage2"},
    }
    work = computed(with_values(pretrained_experiment, inherits))
    final = work.final_stages.values()
    expected = [work.beliefs_of(stage) for stage in final]
    for stage in final:
        shutil.rmtree(work.store.path(beliefs_key(stage, work.scenario)))

    def looks(*_: object) -> None:
        msg = "images were looked at"
        raise AssertionError(msg)

    monkeypatch.setattr(label_beliefs, "predict", looks)
    for stage, before in zip(final, expected, strict=True):
        StageRunner(work, CPU, lambda _: None).obtain(stage)
        assert torch.equal(work.beliefs_of(stage).believed, before.believed)


def test_images_of_previously_learned_tasks_are_not_judged(finished: Work) -> None:
    assert list(classes_believed(finished.scenario)) == [0, 1, 2, 3]
    later = replace(finished.scenario, num_learned_tasks=1)
    assert list(classes_believed(later)) == [2, 3]
    stage = finished.stages[-1]
    assert beliefs_key(stage, later) != beliefs_key(stage, finished.scenario)
