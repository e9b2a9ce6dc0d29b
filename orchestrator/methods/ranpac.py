"""RanPAC: ridge regression on random nonlinear features, which are computed from the features of a
frozen extractor. The regression is updated task by task in closed form (McDonnell et al. 2023,
"RanPAC: Random Projections and Pre-trained Models for Continual Learning").

    h = relu(f W),   G = Σ h hᵀ,   C = Σ h yᵀ,   logits = hᵀ (G + λ I)⁻¹ C

`f` are an image's features, `W` is drawn once and then fixed, `y` are one-hot labels. G and C are
sums over all images so far. With a fixed λ, learning task by task therefore gives the same result
as learning all tasks at once. After every task λ is chosen as in the paper. A fifth of the task's
images is held out, and G and C are computed from the others. The candidate with the smallest
squared error on the held-out images is used. All images are then added to G and C.

This implementation differs from the paper in three points. First, features are power-normalised, as
for every method here. On validation images of digits, this gained a quarter to half a point over
raw features. Second, the variance of W is 2 / M instead of 1, with M the number of random features.
The vector h is then about as long as f, and a given λ has the same effect for every M. Third,
images are held out class by class, so that even a class of few images has held-out images.

The paper's first phase adapts the pre-trained network to the first task. This phase is available to
every method here through `teacher.extractor`.

W is stored with the model. Storing its seed would suffice only if torch drew the same numbers in
every version and on every machine. W needs only features / M times the space of G.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.methods import RanPacConfig
from orchestrator.methods.artifacts import network_tensors, rebuilt, tensors_of, unprefixed
from orchestrator.methods.features.closed_form import (
    Extracted,
    FrozenFeatures,
    MomentsModel,
    stored_moments,
)
from orchestrator.methods.features.moments import FeatureMoments, no_moments, ridge_classifier
from orchestrator.methods.heads import HeadInputs, zeros_classifier
from orchestrator.methods.method import ArtifactContext, LearningInputs, Model
from orchestrator.methods.views import ClassFeatures
from orchestrator.models import Backbone, LinearClassifier, Network, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.training.context import LearningContext

_HELD_OUT = 0.2


class RandomProjection(nn.Module):
    """Map features to `relu(h W)`, where `h` are the power-normalised features."""

    projection: Tensor

    def __init__(
        self, projection: Float[Tensor, "d m"], groups: Sequence[FeatureGroup] = ()
    ) -> None:
        """Store the matrix.

        Args:
            projection: Matrix with one column per random feature.
            groups: Groups of the extractor's features; without groups, all features come from the
                last layer.
        """
        super().__init__()
        self.normalization = PowerNormalization(groups)
        self.register_buffer("projection", projection)

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Compute the random features from the extractor's features."""
        return self.project_normalized(self.normalization(features))

    def project_normalized(self, normalized: Float[Tensor, "*n d"]) -> Float[Tensor, "*n m"]:
        """Compute the random features from power-normalised features."""
        return functional.relu(normalized @ self.projection)

    def project_class(self, features: ClassFeatures) -> ClassFeatures:
        """Compute the random features of a class from the power-normalised features of the
        class.
        """
        clean, views = (self.project_normalized(rows) for rows in (features.clean, features.views))
        return ClassFeatures(clean, views)


class RanPac(FrozenFeatures):
    """Predict classes by ridge regression of one-hot labels on random nonlinear features."""

    def learn_features(
        self, found: Extracted, inputs: LearningInputs, context: LearningContext
    ) -> Model:
        """Choose a ridge strength, add the features of the new classes to the sums, and solve for
        the classifier.
        """
        config = inputs.experiment.method
        assert isinstance(config, RanPacConfig)  # noqa: S101 - for the type checker
        if isinstance(inputs.previous, MomentsModel):
            projection: RandomProjection = inputs.previous.network.embedding
            moments = inputs.previous.moments
        else:
            projection = _drawn_projection(found.extractor, config, context)
            moments = no_moments(config.num_projections, context.device)
        # Project the features twice: to choose the ridge strength, and to update the sums. Memory
        # then need not hold the random features of all classes at once.
        ridge = context.ranks.from_first(
            lambda: choose_ridge(
                moments,
                map(projection.project_class, found.features),
                config.ridges,
                context.stream("held out"),
            )
        )
        for projected in map(projection.project_class, found.features):
            moments = moments.with_class(projected.all_views())
        network = Network(found.extractor, projection, ridge_classifier(moments, ridge))
        return MomentsModel(network, moments, {"ridge": ridge})

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return a projection to random features and a linear classifier of these features, both
        untrained (filled with zeros).
        """
        config, extractor = inputs.experiment.method, inputs.extractor
        assert isinstance(config, RanPacConfig)  # noqa: S101 - for the type checker
        projection = torch.zeros(extractor.num_features, config.num_projections)
        classifier = zeros_classifier(config.num_projections, inputs.num_classes)
        return RandomProjection(projection, extractor.groups), classifier

    def to_artifact(self, model: Model) -> Artifact:
        """Return the network, the sums over random features and the ridge strength, as an
        artifact.
        """
        assert isinstance(model, MomentsModel)  # noqa: S101 - for the type checker
        tensors = network_tensors(model.network) | tensors_of("moments", model.moments)
        return Artifact(tensors, dict(model.details))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild the network, the sums over random features and the ridge strength from an
        artifact.
        """
        state = unprefixed("network", artifact.tensors)
        network = rebuilt(
            state,
            context,
            RandomProjection(state["embedding.projection"]),
            LinearClassifier(state["classifier.weights"], state["classifier.biases"]),
        )
        details = {"ridge": artifact.values["ridge"]}
        return MomentsModel(network, stored_moments(artifact, context), details)


def choose_ridge(
    moments: FeatureMoments,
    features: Iterable[ClassFeatures],
    ridges: Sequence[float],
    generator: torch.Generator,
) -> float:
    """Return the ridge strength with the smallest squared error on held-out images of new classes.

    Args:
        moments: Sums over the random features of the old classes.
        features: Random features of each new class.
        ridges: Candidates. The middle candidate is used if no class has a second image, which could
            be held out.
        generator: Chooses the images to hold out.
    """
    if len(ridges) == 1:
        return ridges[0]
    held_out, labels = [moments.second[:0]], list[int]()
    for label, of_class in enumerate(features, start=len(moments.counts)):
        order = torch.randperm(len(of_class.clean), generator=generator)
        held, kept = order.tensor_split([num_held_out(len(order))])
        moments = moments.with_class(of_class.subset(kept.to(moments.second.device)).all_views())
        held_out.append(of_class.clean[held.to(moments.second.device)])
        labels += [label] * len(held)
    if not labels:
        return ridges[len(ridges) // 2]
    rows = torch.cat(held_out)
    targets = functional.one_hot(torch.tensor(labels), len(moments.counts)).to(rows)
    errors = [
        float(functional.mse_loss(ridge_classifier(moments, ridge)(rows), targets))
        for ridge in ridges
    ]
    return ridges[errors.index(min(errors))]


def num_held_out(num_images: int) -> int:
    """Return the number of held-out images of a class: a fifth of its images, but at least one if
    the class has two or more.
    """
    return min(num_images - 1, max(1, round(_HELD_OUT * num_images)))


def _drawn_projection(
    extractor: Backbone, config: RanPacConfig, context: LearningContext
) -> RandomProjection:
    size = (extractor.num_features, config.num_projections)
    drawn = torch.randn(size, generator=context.stream("projection")).to(context.device)
    return RandomProjection((2 / config.num_projections) ** 0.5 * drawn, extractor.groups)


METHOD = RanPac()
