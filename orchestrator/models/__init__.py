"""Networks: feature extractor → embedding module → growing classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from orchestrator.models.backbones import Backbone, build_backbone
    from orchestrator.models.classifiers import CosineClassifier, LinearClassifier
    from orchestrator.models.embeddings import (
        PowerNormalization,
        ProjectionEmbedding,
        WhitenedEmbedding,
    )
    from orchestrator.models.network import AnyNetwork, Network, NetworkOutput
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.models.backbones": (
                "Backbone",
                "build_backbone",
            ),
            "orchestrator.models.classifiers": (
                "CosineClassifier",
                "LinearClassifier",
            ),
            "orchestrator.models.embeddings": (
                "PowerNormalization",
                "ProjectionEmbedding",
                "WhitenedEmbedding",
            ),
            "orchestrator.models.network": (
                "AnyNetwork",
                "Network",
                "NetworkOutput",
            ),
        },
    )
