"""The comparison methods task by task, on a few digits."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.config.base import Config
from orchestrator.config.data import DigitsConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import (
    AnalyticConfig,
    FinetuningConfig,
    JointConfig,
    NearestClassMeanConfig,
)
from orchestrator.config.scenario import ScenarioConfig
from orchestrator.config.teacher import JointEmbeddingConfig, TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data import Split, load_images
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario import Task
from orchestrator.data.scenario_building import build_scenario
from orchestrator.methods.features.views import normalized_features
from orchestrator.methods.method import LearningInputs, Model, classes_learned, method_of
from orchestrator.models.network import predict
from orchestrator.training.context import LearningContext

CLASSES = 4


def _experiment(method: Config) -> Experiment:
    training = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.01)
    teacher = TeacherConfig(
        backbone=SmallCnnTinyConfig(),
        training=training,
        self_supervision="none",
        num_views=0,
        joint_embedding=JointEmbeddingConfig(dimensions=16),
    )
    return Experiment.model_validate(
        {"method": method.model_dump(), "teacher": teacher.model_dump()}
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[Split, LabeledImages]:
    """Two tasks of two digits, thirty images each."""
    cache: Path = tmp_path_factory.mktemp("data")
    scenario = build_scenario(
        load_images(DigitsConfig(cache_dir=cache)),
        ScenarioConfig(class_order=tuple(range(CLASSES))),
        0.0,
        0,
    )
    chosen = {}
    for split in (Split.TRAIN, Split.TEST):
        per_class = [scenario.images_of(split, [label]) for label in range(CLASSES)]
        chosen[split] = LabeledImages(
            torch.cat([images.images[:30] for images in per_class]),
            torch.cat([images.labels[:30] for images in per_class]),
        )
    return chosen


def _of(data: LabeledImages, classes: range) -> LabeledImages:
    rows = torch.isin(data.labels, torch.tensor(list(classes)))
    return LabeledImages(data.images[rows], data.labels[rows])


def _learn_task(method: Config, previous: Model | None, data: LabeledImages, task: int) -> Model:
    experiment = _experiment(method)
    inputs = LearningInputs("teacher", data, experiment, previous)
    return method_of(experiment).learn(inputs, LearningContext(0, f"teacher[{task}]"))


def _learn(method: Config, digits: dict[Split, LabeledImages]) -> list[Model]:
    models: list[Model] = []
    for task in (Task(0, range(2), 2), Task(1, range(2, CLASSES), CLASSES)):
        chosen = method_of(_experiment(method))
        previous = models[-1] if models and not chosen.learns_from_all_images else None
        data = _of(digits[Split.TRAIN], classes_learned(chosen, task))
        models.append(_learn_task(method, previous, data, task.index))
    return models


def _accuracy(model: Model, data: LabeledImages) -> float:
    return float((predict(model.network, data.images).argmax(dim=1) == data.labels).double().mean())


def _rows() -> dict[Split, LabeledImages]:
    """Each class is a bright row of its own in noise: what learns at all tells them apart."""
    found = {}
    for seed, split in enumerate((Split.TRAIN, Split.TEST)):
        labels = torch.arange(CLASSES).repeat_interleave(30)
        images = torch.randint(
            *(0, 60, (len(labels), 1, 8, 8)),
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.uint8,
        )
        images[torch.arange(len(labels)), 0, 2 * labels] = 250
        found[split] = LabeledImages(images, labels)
    return found


def test_finetuning_forgets_what_the_joint_upper_bound_remembers() -> None:
    rows = _rows()
    old = _of(rows[Split.TEST], range(2))
    first, second = _learn(FinetuningConfig(), rows)
    assert _accuracy(first, old) > 0.8
    assert _accuracy(second, old) < 0.2
    assert _accuracy(_learn(JointConfig(), rows)[-1], old) > 0.8


def test_analytic_learning_in_two_tasks_equals_ridge_regression_on_both_at_once(
    digits: dict[Split, LabeledImages],
) -> None:
    ridge = 0.05
    model = _learn(AnalyticConfig(ridge=ridge), digits)[-1]
    data = digits[Split.TRAIN]
    features = normalized_features(model.network.extractor, data.images).numpy().astype(np.float64)
    rows = np.concatenate([features, np.sqrt(ridge) * np.eye(features.shape[1])])
    answers = np.concatenate(
        [np.eye(CLASSES)[data.labels.numpy()], np.zeros((features.shape[1], CLASSES))]
    )
    expected = features @ np.linalg.lstsq(rows, answers, rcond=None)[0]
    np.testing.assert_allclose(predict(model.network, data.images).numpy(), expected, atol=5e-3)


def test_nearest_class_mean_decides_by_the_distance_of_features(
    digits: dict[Split, LabeledImages],
) -> None:
    model = _learn(NearestClassMeanConfig(), digits)[-1]
    train, test = (
        normalized_features(model.network.extractor, digits[split].images).numpy()
        for split in (Split.TRAIN, Split.TEST)
    )
    means = np.stack(
        [
            train[digits[Split.TRAIN].labels.numpy() == label].mean(axis=0)
            for label in range(CLASSES)
        ]
    )
    distances = np.linalg.norm(test[:, None] - means, axis=2)
    chosen = predict(model.network, digits[Split.TEST].images).argmax(dim=1).numpy()
    np.testing.assert_allclose(  # of two that are equally near, either may be chosen
        distances[np.arange(len(test)), chosen], distances.min(axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("method", [FinetuningConfig(), NearestClassMeanConfig(), AnalyticConfig()])
def test_learning_a_task_leaves_the_model_of_the_task_before_as_it_was(
    method: Config, digits: dict[Split, LabeledImages]
) -> None:
    first = _learn(method, digits)[0]
    before = copy.deepcopy(first.network.state_dict())
    _learn_task(method, first, _of(digits[Split.TRAIN], range(2, CLASSES)), 1)
    assert all(
        torch.equal(before[name], value) for name, value in first.network.state_dict().items()
    )
