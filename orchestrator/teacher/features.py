"""Features of a task's images and of random variations of them, class by class."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.data.scenario import LabeledImages
from orchestrator.models import Backbone, PowerNormalization
from orchestrator.models.network import extract_features
from orchestrator.teacher.statistics import ClassFeatures
from orchestrator.training.context import LearningContext


def normalized_features(extractor: Backbone, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """Power-normalised features of images."""
    normalized: Tensor = PowerNormalization()(extract_features(extractor, images))
    return normalized


def features_by_class(extractor: Backbone, data: LabeledImages, num_views: int, context: LearningContext) -> list[ClassFeatures]:
    """Power-normalised features of every class's images, in the order of the classes; each rank computes its share for all.

    Args:
        extractor: Used as it is, in evaluation mode.
        data: Images of one or more classes.
        num_views: Augmented copies of every image, in addition to the image as it is.
        context: Seed, device, and how copies are varied.
    """
    ranks, num = context.ranks, len(data)
    clean = ranks.gather(normalized_features(extractor, ranks.share(data.images)), num)
    views = torch.zeros(0, *clean.shape, device=clean.device)
    if num_views:
        generator = context.stream("views")
        varied = [context.vary(data.images, generator, ranks.span(num)) for _ in range(num_views)]
        views = torch.stack([ranks.gather(normalized_features(extractor, images), num) for images in varied])
    of_class = [data.labels == label for label in data.labels.unique()]
    return [ClassFeatures(clean[rows], views[:, rows]) for rows in of_class]
