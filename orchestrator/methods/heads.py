"""Heads of untrained networks, in the sizes that they have once all classes are learned."""

from __future__ import annotations

import torch
from torch import nn

from orchestrator.models import (
    Backbone,
    CosineClassifier,
    LinearClassifier,
    PowerNormalization,
    ProjectionEmbedding,
)

Head = tuple[nn.Module, nn.Module]


def zeros_classifier(num_features: int, num_classes: int) -> LinearClassifier:
    """Return a linear classifier with no knowledge."""
    return LinearClassifier(torch.zeros(num_features, num_classes), torch.zeros(num_classes))


def cosine_classifier(dimensions: int, num_classes: int) -> CosineClassifier:
    """Return a cosine classifier whose directions all are zero."""
    classifier = CosineClassifier(dimensions)
    classifier.anchor(torch.zeros(num_classes, dimensions))
    return classifier


def linear_head(extractor: Backbone, num_classes: int) -> Head:
    """Return a linear classifier over power-normalised features."""
    normalization = PowerNormalization(extractor.groups)
    return normalization, zeros_classifier(extractor.num_features, num_classes)


def projection_head(extractor: Backbone, dimensions: int, num_classes: int) -> Head:
    """Return a linear layer into a joint embedding space, and class directions in it."""
    embedding = ProjectionEmbedding(extractor.num_features, dimensions)
    return embedding, cosine_classifier(dimensions, num_classes)
