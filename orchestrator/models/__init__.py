"""Networks: feature extractor → embedding module → growing classifier."""

from orchestrator.models.backbones import Backbone, build_backbone
from orchestrator.models.classifiers import CosineClassifier, LinearClassifier
from orchestrator.models.embeddings import (
    PowerNormalization,
    ProjectionEmbedding,
    WhitenedEmbedding,
)
from orchestrator.models.network import AnyNetwork, Network, NetworkOutput

__all__ = [
    "AnyNetwork",
    "Backbone",
    "CosineClassifier",
    "LinearClassifier",
    "Network",
    "NetworkOutput",
    "PowerNormalization",
    "ProjectionEmbedding",
    "WhitenedEmbedding",
    "build_backbone",
]
