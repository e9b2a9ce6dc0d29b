"""The teacher on extreme data: few images, single classes, more dimensions than features, every
kind of memory.
"""

from __future__ import annotations

import pytest
import torch

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.config.teacher import JointEmbeddingConfig, TeacherConfig
from orchestrator.config.training import RefinementConfig, TrainingConfig
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.training.context import LearningContext


def _images(classes: range, num: int) -> LabeledImages:
    """Return images of noise in which each class has its own bright row."""
    generator = torch.Generator().manual_seed(classes.start)
    images = torch.randint(
        0, 60, (len(classes) * num, 1, 8, 8), generator=generator, dtype=torch.uint8
    )
    labels = torch.tensor(list(classes)).repeat_interleave(num)
    images[torch.arange(len(labels)), 0, labels] = 250
    return LabeledImages(images, labels)


def _teach(tasks: list[LabeledImages], **changes: object) -> TeacherModel:
    settings: dict[str, object] = {
        "backbone": SmallCnnTinyConfig(),
        "training": TrainingConfig(epochs=1),
        "refinement": RefinementConfig(epochs=1),
        "num_views": 2,
        "joint_embedding": JointEmbeddingConfig(dimensions=16),
    }
    config = TeacherConfig.model_validate(settings | changes)
    model = None
    for index, data in enumerate(tasks):
        model = learn_teacher_task(model, data, config, LearningContext(0, f"teacher[{index}]"))
    assert model is not None
    return model


def _is_finite(model: TeacherModel) -> bool:
    state = [*model.network.state_dict().values(), model.vectors, model.memory.statistics.means]
    return all(bool(tensor.isfinite().all()) for tensor in state)


@pytest.mark.parametrize(
    "changes",
    [
        {"refinement": {"epochs": 0}},
        {"spread": {"kind": "observed"}},
        {"spread": {"kind": "shared"}},
        {"spread": {"kind": "scalar"}},
        {"spread": {"kind": "low_rank", "rank": 3}},
        {"augmentation": {"kind": "random", "num_vectors": 4}},
        {"augmentation": {"kind": "none"}},
        {"extractor": {"kind": "fine_tuned"}},
        {"self_supervision": "none"},
        {"num_views": 0},
        {"joint_embedding": {"dimensions": 128}},
        {"joint_embedding": {"dimensions": 150}},
        {"joint_embedding": {"dimensions": None}},
        {"agreement_rounds": 0},
    ],
    ids=str,
)
def test_every_choice_of_the_configuration_learns_two_tasks(changes: dict[str, object]) -> None:
    model = _teach([_images(range(2), 12), _images(range(2, 4), 12)], **changes)
    assert _is_finite(model)
    assert model.network.classifier.num_classes == model.memory.statistics.num_classes == 4
    assert len(model.vectors) == 2


def test_a_space_without_configured_dimensions_has_one_per_feature() -> None:
    model = _teach([_images(range(2), 12)], joint_embedding={"dimensions": None})
    num_features = model.network.extractor.num_features
    assert model.network.embedding.whitening.shape == (num_features, num_features)
    assert set(model.details) == {"refinement_strength", "doubted_labels"}


@pytest.mark.parametrize("num_views", [0, 2])
def test_two_images_a_class_are_enough(num_views: int) -> None:
    model = _teach([_images(range(2), 2), _images(range(2, 4), 2)], num_views=num_views)
    assert _is_finite(model)
    assert model.refinement_strength == 0  # nothing could be held out to judge a refinement


def test_tasks_of_a_single_class_can_be_learned() -> None:
    model = _teach([_images(range(1), 12), _images(range(1, 2), 12), _images(range(2, 3), 12)])
    assert _is_finite(model)
    assert model.network.classifier.num_classes == 3


def test_the_same_seed_gives_the_same_teacher() -> None:
    tasks = [_images(range(2), 12), _images(range(2, 4), 12)]
    one, other = (_teach(tasks).network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
