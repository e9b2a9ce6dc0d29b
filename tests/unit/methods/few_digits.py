"""Train methods on four digits in two tasks, each in a second or less."""

from __future__ import annotations

import torch

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.config.base import Config
from orchestrator.config.experiment import Experiment
from orchestrator.config.teacher import JointEmbeddingConfig, TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data import Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario import Task
from orchestrator.methods.facts import classes_learned
from orchestrator.methods.method import ArtifactContext, LearningInputs, Model, method_of
from orchestrator.models.network import predict
from orchestrator.training.context import LearningContext

CLASSES = 4
Digits = dict[Split, LabeledImages]


def experiment_with(method: Config, epochs: int = 6) -> Experiment:
    training = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=0.01)
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


def of_classes(data: LabeledImages, classes: range) -> LabeledImages:
    rows = torch.isin(data.labels, torch.tensor(list(classes)))
    return LabeledImages(data.images[rows], data.labels[rows])


def learn_task(
    experiment: Experiment, previous: Model | None, data: LabeledImages, task: int, seed: int = 0
) -> Model:
    inputs = LearningInputs("teacher", data, experiment, previous)
    return method_of(experiment).learn(inputs, LearningContext(seed, f"teacher[{task}]"))


def learn(experiment: Experiment, digits: Digits, seed: int = 0) -> list[Model]:
    """Return the models after the first and after the second task."""
    models: list[Model] = []
    for task in (Task(0, range(2), 2), Task(1, range(2, CLASSES), CLASSES)):
        chosen = method_of(experiment)
        previous = models[-1] if models and not chosen.learns_from_all_images else None
        data = of_classes(digits[Split.TRAIN], classes_learned(chosen, task))
        models.append(learn_task(experiment, previous, data, task.index, seed))
    return models


def stored_and_read(experiment: Experiment, model: Model) -> Model:
    """Return the model after a round trip through its artifact."""
    context = ArtifactContext("teacher", experiment, (1, 8, 8), torch.device("cpu"))
    chosen = method_of(experiment)
    return chosen.from_artifact(chosen.to_artifact(model), context)


def same_weights(one: Model, other: Model) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(tensor, theirs[name]) for name, tensor in ours.items()
    )


def accuracy(model: Model, data: LabeledImages) -> float:
    return float((predict(model.network, data.images).argmax(dim=1) == data.labels).double().mean())
