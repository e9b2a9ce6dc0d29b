"""Features of augmented images are the same whether images are augmented all at once or in
parts.
"""

import pytest
import torch

from orchestrator.config.backbones import SmallCnnConfig
from orchestrator.methods import views
from orchestrator.methods.views import extract_views
from orchestrator.models import build_backbone
from orchestrator.training.context import LearningContext


def test_views_do_not_depend_on_how_many_images_are_augmented_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 1, 8, 8), generator=generator, dtype=torch.uint8)
    extractor, context = (
        build_backbone(SmallCnnConfig(), (1, 8, 8)),
        LearningContext(seed=0, stage="teacher[0]"),
    )
    whole = extract_views(extractor, images, 2, context.stream("views"), context)
    monkeypatch.setattr(views, "_VARIED_AT_ONCE", 3)
    parts = extract_views(extractor, images, 2, context.stream("views"), context)
    torch.testing.assert_close(parts.varied, whole.varied)
    assert not torch.equal(whole.varied[0], whole.varied[1])
