"""Compute the features of images with a frozen extractor, once for each class and split, and share
the features between stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.unlabeled import UNLABELED
from orchestrator.methods.views import shared_features
from orchestrator.models import Backbone
from orchestrator.stages.evaluation import FeaturesOf
from orchestrator.training.context import LearningContext


def features_by(extractor: Backbone, scenario: Scenario, context: LearningContext) -> FeaturesOf:
    """Return a function that computes features of images, given a split and some classes.

    Args:
        extractor: The extractor, which must not change.
        scenario: The images.
        context: Provides the ranks, and the store for features that stages share.
    """

    def features_of(split: Split | Literal["unlabeled"], classes: Sequence[int]) -> Tensor:
        return torch.cat([_features(split, c) for c in classes])

    def _features(split: Split | Literal["unlabeled"], c: int) -> Tensor:
        if split == UNLABELED:
            assert scenario.unlabeled is not None  # noqa: S101 - only called if there are unlabelled images
            part = scenario.unlabeled.parts[c]
            images = scenario.unlabeled.copy_of(part.rows)
            found = shared_features(extractor, images, part.fingerprint, context)
            return found[torch.from_numpy(part.kept)]
        images = scenario.images_of(split, [c]).images
        identity = scenario.fingerprint_of_images(split, c)
        return shared_features(extractor, images, identity, context)

    return features_of
