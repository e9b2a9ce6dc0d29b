"""Freshly augmented images, with the matching features."""

import pytest
import torch

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.methods.dual_teacher.student.taught_images import VariedAfresh, WithKnownFeatures
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext

STRONG = ImageAugmentationConfig(rotation_degrees=90, noise=0.1)


@pytest.fixture(scope="module")
def extractor() -> Backbone:
    return build_backbone(SmallCnnTinyConfig(), (1, 8, 8)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.fixture
def context() -> LearningContext:
    return LearningContext(0, "student[1]", image_augmentation=STRONG)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("with_mixtures", [False, True])
def test_features_are_those_of_the_augmented_images(
    extractor: Backbone, images: torch.Tensor, context: LearningContext, with_mixtures: bool
) -> None:
    batch = VariedAfresh(images, extractor, context, with_mixtures).batch(
        torch.tensor([4, 1, 4]), generator()
    )
    assert len(batch.images) == (6 if with_mixtures else 3)
    assert not torch.equal(batch.images[0], batch.images[2]), "the same image, varied twice"
    torch.testing.assert_close(batch.features, extract_features(extractor, batch.images))


def test_known_features_are_those_of_the_original_images(
    extractor: Backbone, images: torch.Tensor, context: LearningContext
) -> None:
    rows = torch.tensor([4, 1, 4])
    batch = WithKnownFeatures(images, extract_features(extractor, images), context).batch(
        rows, generator()
    )
    torch.testing.assert_close(batch.features, extract_features(extractor, images[rows]))
    assert torch.equal(batch.images, context.vary(images[rows], generator()))
    assert not torch.equal(batch.images[0], batch.images[2]), "the same image, varied twice"
