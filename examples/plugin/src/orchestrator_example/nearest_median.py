"""Nearest class median: like nearest class mean, but a few odd images do not move a median."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from orchestrator.config.extensions import MethodExtension
from orchestrator.methods.artifacts import network_tensors, rebuilt_network
from orchestrator.methods.features.closed_form import Extracted, FrozenFeatures
from orchestrator.methods.method import ArtifactContext, LearningInputs, Model, NetworkModel
from orchestrator.methods.views import ClassFeatures
from orchestrator.models import LinearClassifier, Network, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.training.context import LearningContext


class NearestMedianConfig(MethodExtension):
    """The class whose median of the frozen features is nearest."""

    kind: Literal["nearest_median"] = "nearest_median"
    trust: float = Field(
        default=1.0, ge=0, le=1, description="Share of the median beside the mean: 0 is the mean."
    )


class NearestMedian(FrozenFeatures):
    """Compare features with the medians of the classes."""

    config: ClassVar[type[NearestMedianConfig]] = NearestMedianConfig
    format: ClassVar[int] = 1  # raise it when the code below computes something else

    def learn_features(
        self, found: Extracted, inputs: LearningInputs, context: LearningContext
    ) -> Model:
        """Add the centres of the new classes; those of old classes stay as they are."""
        config = inputs.experiment.method
        assert isinstance(config, NearestMedianConfig)  # noqa: S101 - for the type checker
        centres = torch.stack([centre(it, config.trust) for it in found.features])
        new = LinearClassifier(2 * centres.T, -centres.square().sum(dim=1))
        if inputs.previous is not None:
            old: LinearClassifier = inputs.previous.network.classifier
            new = LinearClassifier(
                torch.cat([old.weights.to(context.device), new.weights], dim=1),
                torch.cat([old.biases.to(context.device), new.biases]),
            )
        return NetworkModel(Network(found.extractor, PowerNormalization(), new))

    def to_artifact(self, model: Model) -> Artifact:
        """Return the network: it holds the centres."""
        return Artifact(network_tensors(model.network))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Return the network."""
        return NetworkModel(rebuilt_network(artifact.tensors, context))


def centre(of_class: ClassFeatures, trust: float) -> torch.Tensor:
    """Return the centre (features) of a class's images and their views.

    Args:
        of_class: Its power-normalised features.
        trust: Share of the median beside the mean.
    """
    rows = of_class.all_views().flatten(0, 1)
    return trust * rows.median(dim=0).values + (1 - trust) * rows.mean(dim=0)


NEAREST_MEDIAN = NearestMedian()
