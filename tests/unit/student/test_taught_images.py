"""Teacher and student always see the same variation of an image."""

from dataclasses import replace

import pytest
import torch

from orchestrator.config.data import ImageAugmentationConfig
from orchestrator.config.learning import SmallCnnTinyConfig
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.network import extract_features
from orchestrator.student.taught_images import TaughtBatch, VariedAfresh, resized, varied_beforehand
from orchestrator.training.context import LearningContext

STRONG = ImageAugmentationConfig(rotation_degrees=90, noise=0.1)


@pytest.fixture(scope="module")
def extractor() -> Backbone:
    return build_backbone(SmallCnnTinyConfig(), (1, 8, 8)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def context() -> LearningContext:
    return LearningContext(0, "student[1]", image_augmentation=STRONG)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("with_mixtures", [False, True])
def test_features_are_those_of_the_varied_images(
    extractor: Backbone, images: torch.Tensor, context: LearningContext, with_mixtures: bool
) -> None:
    batch = VariedAfresh(images, extractor, context, with_mixtures).batch(torch.tensor([4, 1, 4]), generator())
    assert len(batch.images) == (6 if with_mixtures else 3)
    assert not torch.equal(batch.images[0], batch.images[2]), "the same image, varied twice"
    torch.testing.assert_close(batch.features, extract_features(extractor, batch.images))


@pytest.mark.parametrize("num_old", [0, 2])
def test_known_variations_and_exemplars_are_drawn_with_their_own_features(
    extractor: Backbone, images: torch.Tensor, context: LearningContext, num_old: int
) -> None:
    new, stream = images[2:], generator()
    sets = [new, *(context.vary(new, stream) for _ in range(3))]
    known = [TaughtBatch(varied, extract_features(extractor, varied)) for varied in sets]
    taught = varied_beforehand(known, images[:num_old], extractor, context)
    rows = torch.arange(num_old + len(new)).repeat(50)
    batch = taught.batch(rows, generator())
    torch.testing.assert_close(batch.features, extract_features(extractor, batch.images))
    for row in range(num_old + len(new)):
        drawn = {pixels.numpy().tobytes() for pixels in batch.images[rows == row]}
        assert len(drawn) == len(sets), "every variation is drawn some time"
        original = images[row] if row < num_old else new[row - num_old]
        assert original.numpy().tobytes() in drawn, "one of them is the image as it is"


def test_the_same_stage_varies_its_exemplars_in_the_same_way(extractor: Backbone, images: torch.Tensor, context: LearningContext) -> None:
    known = [TaughtBatch(images[2:], extract_features(extractor, images[2:]))] * 2
    one, same, other = (
        varied_beforehand(known, images[:2], extractor, surroundings).images[1, :2]
        for surroundings in (context, context, replace(context, stage="student[2]"))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_student_may_see_smaller_images() -> None:
    grey = torch.full((2, 3, 16, 16), 77, dtype=torch.uint8)
    assert torch.equal(resized(grey, 8), torch.full((2, 3, 8, 8), 77, dtype=torch.uint8))
    assert resized(grey, 16) is grey
