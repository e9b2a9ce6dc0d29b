"""Features of images and of random variations of them, class by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.data.labeled_images import LabeledImages
from orchestrator.models import Backbone, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext

_VARIED_AT_ONCE = 4096
_LARGEST_HALF = 6e4


@dataclass(frozen=True)
class ClassFeatures:
    """The power-normalised features of one class's training images.

    Attributes:
        clean: Of the images as they are.
        views: Of randomly augmented copies; may be none.
        weights: How far each image's label is trusted, in [0, 1]; None trusts all.
    """

    clean: Float[Tensor, "n d"]
    views: Float[Tensor, "v n d"]
    weights: Float[Tensor, " n"] | None = None

    def all_views(self) -> Float[Tensor, "views n d"]:
        """The images as they are, then their augmented copies."""
        return torch.cat([self.clean[None], self.views])

    def trust(self) -> Float[Tensor, " n"]:
        """Return the weights; 1 for every image where all are trusted."""
        return self.clean.new_ones(len(self.clean)) if self.weights is None else self.weights

    def subset(self, chosen: Tensor) -> ClassFeatures:
        """Only some images, with their views."""
        weights = None if self.weights is None else self.weights[chosen]
        return ClassFeatures(self.clean[chosen], self.views[:, chosen], weights)


@dataclass(frozen=True)
class Views:
    """What an extractor makes of images, as it comes out.

    They may be half precision, as they are stored.

    Attributes:
        clean: Of the images as they are.
        varied: Of randomly augmented copies; may be none.
        groups: That the features consist of; none means that all are final.
    """

    clean: Float[Tensor, "n d"]
    varied: Float[Tensor, "v n d"]
    groups: tuple[FeatureGroup, ...] = ()

    def all_views(self) -> Float[Tensor, "views n d"]:
        """The images as they are, then their augmented copies."""
        return torch.cat([self.clean[None], self.varied])

    def normalized(self) -> ClassFeatures:
        """The same, power-normalised."""
        normalization = PowerNormalization(self.groups)
        return ClassFeatures(normalization(self.clean.float()), normalization(self.varied.float()))


def normalized_features(
    extractor: Backbone, images: UInt8[Tensor, "n c h w"]
) -> Float[Tensor, "n d"]:
    """Power-normalised features of images."""
    normalized: Tensor = PowerNormalization(extractor.groups)(extract_features(extractor, images))
    return normalized


def extract_views(
    extractor: Backbone,
    images: UInt8[Tensor, "n c h w"],
    num_views: int,
    generator: torch.Generator,
    context: LearningContext,
    progress: Callable[[int], None] = lambda _: None,
) -> Views:
    """Features of images and of augmented copies; each rank computes its share for all.

    Args:
        extractor: Used as it is, in evaluation mode.
        images: Of whatever classes.
        num_views: Augmented copies of every image, in addition to the image as it is.
        generator: Of the copies.
        context: Device, ranks, and how copies are varied.
        progress: Receives how many more images were processed, now and again.
    """
    ranks, num = context.ranks, len(images)

    def gathered(parts: Iterable[Tensor]) -> Tensor:
        features = ranks.gather(
            torch.cat([extract_features(extractor, part) for part in parts]), num
        )
        progress(num)
        return features

    clean = gathered([ranks.share(images)])
    varied = [gathered(_varied(images, generator, context)) for _ in range(num_views)]
    copies = torch.stack(varied) if varied else clean.new_zeros(0, *clean.shape)
    return Views(clean, copies, extractor.groups)


def shared_features(
    extractor: Backbone,
    images: UInt8[Tensor, "n c h w"],
    identity: str,
    context: LearningContext,
) -> Float[Tensor, "n d"]:
    """Return the features of images, computed once for all who have the same extractor.

    Args:
        extractor: Used as it is, in evaluation mode.
        images: Of whatever classes.
        identity: What tells these images from others.
        context: Ranks, and what was computed before.
    """

    def compute() -> Artifact:
        ranks = context.ranks
        found = ranks.gather(extract_features(extractor, ranks.share(images)), len(images))
        return Artifact({"clean": in_half_precision(found)})

    content = {"features by": extractor.digest(), "images": identity}
    return context.shared.obtain(content, compute).tensors["clean"]


def in_half_precision(features: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Return features as they are stored: in half precision where none is too large for it."""
    features = features.cpu()
    fits = bool(features.abs().max() < _LARGEST_HALF) if features.numel() else True
    return features.half() if fits else features


def _varied(
    images: UInt8[Tensor, "n c h w"], generator: torch.Generator, context: LearningContext
) -> Iterator[UInt8[Tensor, "part c h w"]]:
    """Augmented copies of this rank's share, some at a time: memory need not hold a second copy of
    all.
    """
    share, drawn = context.ranks.span(len(images)), generator.get_state()
    for start in range(share.start, max(share.stop, share.start + 1), _VARIED_AT_ONCE):
        generator.set_state(drawn)  # each time the draws are those of all images
        yield context.vary(
            images, generator, slice(start, min(share.stop, start + _VARIED_AT_ONCE))
        )


def features_by_class(
    extractor: Backbone, data: LabeledImages, num_views: int, context: LearningContext
) -> list[ClassFeatures]:
    """Power-normalised features of every class's images, in the order of the classes.

    Args:
        extractor: Used as it is, in evaluation mode.
        data: Images of one or more classes.
        num_views: Augmented copies of every image, in addition to the image as it is.
        context: Seed, device, ranks, and how copies are varied.
    """
    features = extract_views(
        extractor, data.images, num_views, context.stream("views"), context
    ).normalized()
    return [features.subset(data.labels == label) for label in data.labels.unique()]
