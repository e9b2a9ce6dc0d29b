"""FeCAM: predict the class with the nearest mean, by distances that use the covariance of each
class (Goswami et al. 2023, "FeCAM: Exploiting the Heterogeneity of Class Distributions in
Exemplar-Free Continual Learning").

    x = f^λ                                          Tukey's transform of the features
    Σ' = Σ + γ₁ V₁ I + γ₂ V₂ (1 - I)                 shrinkage of a class's covariance
    Σ''ᵢⱼ = Σ'ᵢⱼ / √(Σ'ᵢᵢ Σ'ⱼⱼ)                         correlation normalisation
    D = (x/‖x‖ - μ/‖μ‖)ᵀ Σ''⁻¹ (x/‖x‖ - μ/‖μ‖)       squared Mahalanobis distance

V₁ is the mean of Σ's diagonal, V₂ the mean of its other entries. Normalised covariances have equal
diagonals, so that distances to classes of different spread are comparable. Nothing is ever trained,
and a learned class never changes. Learning task by task therefore gives the same result as learning
all classes at once.

This implementation differs from the paper in two points. First, features are scaled to length 1
before mean and covariance are computed; the paper scales them in the distance only. With λ = 1/2,
scaled features are the power-normalised features from which every method here starts. Both variants
were equally accurate on validation images. Second, negative features keep their sign; the paper's
networks end in ReLU, so their features are never negative.

As in the paper, images are used without augmentation. On validation images of digits, augmented
views raised the teacher's accuracy by a quarter of a point and lowered the student's by half a
point.

Memory: a class takes features² + features numbers in the store, in MLflow and in exported files,
however few images the class has. This is 1 MB for 512 features, and 6.6 MB for 1,280.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import FeCamConfig
from orchestrator.methods.artifacts import network_tensors, rebuilt, unprefixed
from orchestrator.methods.features.closed_form import Extracted, FrozenFeatures
from orchestrator.methods.heads import HeadInputs
from orchestrator.methods.method import (
    ArtifactContext,
    LearningInputs,
    Model,
    NetworkModel,
)
from orchestrator.models import Network, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.training.context import LearningContext

_POWER_NORMALIZATION = 0.5  # exponent that power normalisation has already applied to features
_LEAST_VARIANCE = 1e-8  # lower limit of a class's mean variance, which is 0 for one image


class TukeyTransform(nn.Module):
    """Raise features to a power, keeping their signs, then scale them to length 1."""

    def __init__(self, exponent: float) -> None:
        """Store the exponent.

        Args:
            exponent: Exponent of the power, above 0; 1 changes the length only.
        """
        super().__init__()
        self.exponent = exponent

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Raise each feature to the power, then scale the features of an image to length 1."""
        return functional.normalize(features.sign() * features.abs() ** self.exponent, dim=1)


class _NormalizedTukeyTransform(nn.Module):
    """Power-normalise the extractor's features, as every method here does, then transform them."""

    def __init__(self, transform: TukeyTransform, groups: Sequence[FeatureGroup] = ()) -> None:
        super().__init__()
        self.normalization = PowerNormalization(groups)
        self.transform = transform

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        transformed: Tensor = self.transform(self.normalization(features))
        return transformed


class MahalanobisClassifier(nn.Module):
    """Classifier with the logits `-‖(x - mean) factor‖²`, and a mean and a factor for each class.

    The factor times its transpose is the inverse of the class's normalised covariance. In this
    form, rounding cannot make a distance negative.
    """

    means: Tensor
    factors: Tensor

    def __init__(
        self, means: Float[Tensor, "classes d"], factors: Float[Tensor, "classes d d"]
    ) -> None:
        """Store the class means and the factors of the inverse covariances.

        Args:
            means: One row per class.
            factors: One matrix F per class: `F Fᵀ` is the inverse of the normalised covariance of
                the class.
        """
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("factors", factors)

    @property
    def num_classes(self) -> int:
        """Return the number of classes learned so far."""
        return len(self.means)

    def forward(self, embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
        """Compute the logits of all classes."""
        deviations = embeddings - self.means[:, None]
        return -(deviations @ self.factors).square().sum(dim=2).T

    def with_class(
        self, mean: Float[Tensor, " d"], factor: Float[Tensor, "d d"]
    ) -> MahalanobisClassifier:
        """Return a new classifier that has one more class. The current object does not change."""
        return MahalanobisClassifier(
            torch.cat([self.means, mean[None]]), torch.cat([self.factors, factor[None]])
        )


class FeCam(FrozenFeatures):
    """Predict the class with the nearest mean, by distances that use the covariance of each
    class.
    """

    uses_views = False

    def learn_features(
        self, found: Extracted, inputs: LearningInputs, context: LearningContext
    ) -> Model:
        """Add the mean and the covariance of each new class to the classifier."""
        config = _config_of(inputs.experiment)
        if inputs.previous is not None:
            classifier: MahalanobisClassifier = inputs.previous.network.classifier
        else:
            classifier = _no_classes(found.extractor.num_features).to(context.device)
        transform = TukeyTransform(config.tukey_exponent / _POWER_NORMALIZATION)
        for of_class in found.features:
            rows = transform(of_class.clean)
            mean = functional.normalize(rows.mean(dim=0), dim=0)
            classifier = classifier.with_class(mean, precision_factor(rows, config))
        embedding = _NormalizedTukeyTransform(transform, found.extractor.groups)
        return NetworkModel(Network(found.extractor, embedding, classifier))

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return the transform of the features, and an untrained classifier. For each class, the
        classifier has a mean and a matrix F; `F Fᵀ` is an inverse covariance.
        """
        extractor, num = inputs.extractor, inputs.extractor.num_features
        transform = TukeyTransform(_config_of(inputs.experiment).tukey_exponent)
        means = torch.zeros(inputs.num_classes, num)
        factors = torch.zeros(inputs.num_classes, num, num)
        embedding = _NormalizedTukeyTransform(transform, extractor.groups)
        return embedding, MahalanobisClassifier(means, factors)

    def to_artifact(self, model: Model) -> Artifact:
        """Return the network, whose classifier holds all data that the model keeps about the
        classes.
        """
        return Artifact(network_tensors(model.network))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild the network from an artifact."""
        state = unprefixed("network", artifact.tensors)
        classifier = MahalanobisClassifier(state["classifier.means"], state["classifier.factors"])
        exponent = _config_of(context.experiment).tukey_exponent / _POWER_NORMALIZATION
        embedding = _NormalizedTukeyTransform(TukeyTransform(exponent))
        return NetworkModel(rebuilt(state, context, embedding, classifier))


def precision_factor(rows: Float[Tensor, "n d"], config: FeCamConfig) -> Float[Tensor, "d d"]:
    """Return F with `F Fᵀ = Σ''⁻¹`, where Σ'' is the shrunk, normalised covariance of the rows."""
    covariance = torch.cov(rows.double().T, correction=0)
    num = len(covariance)
    identity = torch.eye(num, dtype=torch.float64, device=rows.device)
    variance = covariance.diagonal().mean()
    others = (covariance.sum() - num * variance) / max(1, num * (num - 1))
    shrunk = (
        covariance
        + config.variance_shrinkage * variance.clamp_min(_LEAST_VARIANCE) * identity
        + config.covariance_shrinkage * others * (1 - identity)
    )
    deviations = shrunk.diagonal().sqrt()
    root = torch.linalg.cholesky(shrunk / deviations / deviations[:, None])
    factor: Tensor = torch.linalg.solve_triangular(root, identity, upper=False).T
    return factor.float()


def _config_of(experiment: Experiment) -> FeCamConfig:
    assert isinstance(experiment.method, FeCamConfig)  # noqa: S101 - for the type checker
    return experiment.method


def _no_classes(num_features: int) -> MahalanobisClassifier:
    return MahalanobisClassifier(
        torch.zeros(0, num_features), torch.zeros(0, num_features, num_features)
    )


METHOD = FeCam()
