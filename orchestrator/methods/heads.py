"""Heads of untrained networks, in the sizes that they have once all classes are learned, and the
protocol by which a method provides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.models import (
    Backbone,
    CosineClassifier,
    LinearClassifier,
    PowerNormalization,
    ProjectionEmbedding,
)

Head = tuple[nn.Module, nn.Module]


@dataclass(frozen=True)
class HeadInputs:
    """All inputs that determine the form of a network behind its extractor.

    Attributes:
        role: Role of the network.
        experiment: The configuration. Only `method`, both backbones, `teacher.extractor`, sizes of
            `teacher.joint_embedding` and `student.classifier` may be read.
        extractors: Extractors of both roles, with any weights.
        num_classes: Number of classes that the network distinguishes.
    """

    role: Role
    experiment: Experiment
    extractors: Mapping[Role, Backbone]
    num_classes: int

    @property
    def extractor(self) -> Backbone:
        """Return the role's own extractor."""
        return self.extractors[self.role]


@runtime_checkable
class ForeseesNetwork(Protocol):
    """Extension of `methods.method.Method` for methods that know the form of their networks before
    learning. A sweep can then optimise or limit the costs of these networks.
    """

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return an embedding module and a classifier, in the sizes that they have once all classes
        are learned; their values do not matter.
        """
        ...


def zeros_classifier(num_features: int, num_classes: int) -> LinearClassifier:
    """Return a linear classifier with all values zero."""
    return LinearClassifier(torch.zeros(num_features, num_classes), torch.zeros(num_classes))


def cosine_classifier(dimensions: int, num_classes: int) -> CosineClassifier:
    """Return a cosine classifier with all directions zero."""
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
