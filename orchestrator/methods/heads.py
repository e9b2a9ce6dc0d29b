"""Heads (embedding module and classifier) of untrained networks, and the protocol by which a method
provides them. A head has the size that it will have after all classes are learned.
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
    """All inputs that determine the layers of a network's head, and their sizes.

    Attributes:
        role: Role of the network.
        experiment: The configuration. Only these settings may be read: `method`, both backbones,
            `teacher.extractor`, `student.classifier`, and the sizes in `teacher.joint_embedding`.
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
    """Extension of `methods.method.Method` for methods whose networks have sizes that are known
    before learning. A sweep can then optimise or limit the costs of these networks.
    """

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return an embedding module and a classifier in the sizes that they will have after all
        classes are learned. The values of their weights do not matter.
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
    """Return power normalisation, and a linear classifier of the normalised features."""
    normalization = PowerNormalization(extractor.groups)
    return normalization, zeros_classifier(extractor.num_features, num_classes)


def projection_head(extractor: Backbone, dimensions: int, num_classes: int) -> Head:
    """Return a linear layer into a joint embedding space, and a cosine classifier in this space."""
    embedding = ProjectionEmbedding(extractor.num_features, dimensions)
    return embedding, cosine_classifier(dimensions, num_classes)
