"""The head after a task: in closed form, or refined from there."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from orchestrator.config.teacher import (
    AdaptiveAugmentationConfig,
    JointEmbeddingConfig,
    NoAugmentationConfig,
    ObservedSpreadConfig,
    PrototypeAugmentationConfig,
    RandomAugmentationConfig,
    TeacherConfig,
)
from orchestrator.config.training import RefinementConfig
from orchestrator.methods.dual_teacher.teacher import gated_refinement
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace, joint_space
from orchestrator.methods.dual_teacher.teacher.gated_refinement import LearnedHead, learn_head
from orchestrator.methods.dual_teacher.teacher.refinement import Head
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics, no_classes
from orchestrator.methods.views import ClassFeatures
from orchestrator.models import CosineClassifier, WhitenedEmbedding
from orchestrator.training.context import LearningContext

NUM_FEATURES = 6


def _task(first: int) -> list[ClassFeatures]:
    """Return two classes of 20 images, each around its own corner, with features of unequal
    variance.
    """
    generator = torch.Generator().manual_seed(first)
    features = []
    for label in (first, first + 1):
        noise = torch.randn(20, NUM_FEATURES, generator=generator)
        centre = 10 * torch.eye(NUM_FEATURES)[label]
        clean = centre + noise * torch.arange(1.0, NUM_FEATURES + 1)
        features.append(ClassFeatures(clean, torch.zeros(0, 20, NUM_FEATURES)))
    return features


def _learned(
    num_tasks: int, epochs: int, augmentation: PrototypeAugmentationConfig | None = None
) -> LearnedHead:
    config = TeacherConfig(
        refinement=RefinementConfig(epochs=epochs),
        num_views=0,
        spread=ObservedSpreadConfig(),
        augmentation=augmentation or AdaptiveAugmentationConfig(),
        joint_embedding=JointEmbeddingConfig(dimensions=NUM_FEATURES, adapter_width=4),
    )
    torch.manual_seed(0)
    embedding = WhitenedEmbedding(NUM_FEATURES, NUM_FEATURES, 4)
    head, known = Head(embedding, CosineClassifier(NUM_FEATURES)), no_classes(NUM_FEATURES, 0)
    for task in range(num_tasks):
        context = LearningContext(0, f"teacher[{task}]")
        learned = learn_head(
            copy.deepcopy(head), known, _task(2 * task), torch.eye(NUM_FEATURES), (config, context)
        )
        head, known = learned.head, learned.statistics
    return learned


def test_without_refinement_nothing_is_trained_and_no_image_is_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for name in ("refine", "hold_out", "best_strength"):
        monkeypatch.setattr(gated_refinement, name, never)
    learned = _learned(2, epochs=0)
    assert learned.strength == 0
    assert learned.statistics.counts.tolist() == [20, 20, 20, 20]
    assert not any(parameter.any() for parameter in learned.head.embedding.adapter[2].parameters())
    assert not learned.head.classifier.residuals.any()


def test_a_completely_rejected_refinement_gives_the_closed_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gated_refinement, "best_strength", lambda *_: 0.0)
    refined, closed_form = _learned(2, epochs=2), _learned(2, epochs=0)
    features = torch.cat([of_class.clean for task in (0, 2) for of_class in _task(task)])
    with torch.no_grad():
        logits = [
            it.head.classifier(it.head.embedding.embed_normalized(features))
            for it in (refined, closed_form)
        ]
    torch.testing.assert_close(*logits)


def test_the_closed_form_computes_its_space_once_per_task(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = []

    def counted(
        statistics: ClassStatistics, basis: torch.Tensor, config: JointEmbeddingConfig
    ) -> JointSpace:
        spaces.append(joint_space(statistics, basis, config))
        return spaces[-1]

    monkeypatch.setattr(gated_refinement, "joint_space", counted)
    learned = _learned(2, epochs=0)
    assert len(spaces) == 2
    assert learned.space is spaces[-1]


@pytest.mark.parametrize("epochs", [0, 1])
def test_standardisation_is_fixed_by_the_first_task(epochs: int) -> None:
    first, third = (_learned(num_tasks, epochs).head.embedding for num_tasks in (1, 3))
    assert torch.equal(first.centre, third.centre)
    assert torch.equal(first.scale, third.scale)
    assert first.scale.argsort(descending=True).tolist() == list(range(NUM_FEATURES))


def test_vectors_point_in_directions_of_new_images_deviations() -> None:
    drawn = RandomAugmentationConfig(num_vectors=8)
    learned = _learned(2, epochs=0, augmentation=drawn)
    deviations = torch.cat([it.clean - it.clean.mean(dim=0) for it in _task(2)])
    in_space = functional.normalize(deviations @ learned.head.embedding.whitening, dim=1)
    cosines = functional.normalize(learned.vectors.flatten(0, 1), dim=1) @ in_space.T
    torch.testing.assert_close(cosines.amax(dim=1), torch.ones(2 * 8))


def test_without_augmentation_the_means_represent_old_classes() -> None:
    learned = _learned(2, epochs=0, augmentation=NoAugmentationConfig())
    assert torch.equal(learned.vectors, torch.zeros(2, 1, NUM_FEATURES))
