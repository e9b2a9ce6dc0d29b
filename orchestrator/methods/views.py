"""Features of images and of their random augmentations, class by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.facts import SharedKind
from orchestrator.models import Backbone, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.models.backbones.cuts import multiply_adds
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext

_VARIED_AT_ONCE = 4096
_LARGEST_HALF = 6e4


@dataclass(frozen=True)
class ClassFeatures:
    """Power-normalised features of one class's training images.

    Attributes:
        clean: Features of the original images.
        views: Features of randomly augmented copies; may be empty.
        weights: Probability that each image's label is right; None means that all labels are right.
    """

    clean: Float[Tensor, "n d"]
    views: Float[Tensor, "v n d"]
    weights: Float[Tensor, " n"] | None = None

    def all_views(self) -> Float[Tensor, "views n d"]:
        """Return the features of the original images, then those of their augmented copies."""
        return torch.cat([self.clean[None], self.views])

    def trust(self) -> Float[Tensor, " n"]:
        """Return the trust in each image's label, the probability that the label is right:
        `weights`, or 1 for every image if `weights` is None.
        """
        return self.clean.new_ones(len(self.clean)) if self.weights is None else self.weights

    def subset(self, chosen: Tensor) -> ClassFeatures:
        """Return the features of the chosen images and of their augmented copies."""
        weights = None if self.weights is None else self.weights[chosen]
        return ClassFeatures(self.clean[chosen], self.views[:, chosen], weights)


@dataclass(frozen=True)
class Views:
    """Features of images as an extractor returns them, not normalised.

    The features may have half precision, as in the stage store.

    Attributes:
        clean: Features of the original images.
        varied: Features of randomly augmented copies; may be empty.
        groups: Name and size of each group of consecutive features: one group per stage and
            statistic, and one for the last layer. Without groups, all features come from the last
            layer.
    """

    clean: Float[Tensor, "n d"]
    varied: Float[Tensor, "v n d"]
    groups: tuple[FeatureGroup, ...] = ()

    def all_views(self) -> Float[Tensor, "views n d"]:
        """Return the features of the original images, then those of their augmented copies."""
        return torch.cat([self.clean[None], self.varied])

    def normalized(self) -> ClassFeatures:
        """Return the power-normalised features."""
        normalization = PowerNormalization(self.groups)
        return ClassFeatures(normalization(self.clean.float()), normalization(self.varied.float()))


def normalized_features(
    extractor: Backbone, images: UInt8[Tensor, "n c h w"]
) -> Float[Tensor, "n d"]:
    """Return the power-normalised features of images."""
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
    """Return the features of images and of augmented copies. Each rank extracts a share of the
    features, and all ranks receive all features.

    Args:
        extractor: Used unchanged, in evaluation mode.
        images: Images of any classes.
        num_views: Augmented copies of every image, in addition to the original.
        generator: Draws the augmentations.
        context: Device, ranks and augmentation.
        progress: Called from time to time with the number of images processed since the last call.
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
    """Return the features of images. They are computed once for all stages that use the same
    extractor on the same images.

    Args:
        extractor: Used unchanged, in evaluation mode.
        images: Images of any classes.
        identity: Text that identifies these images.
        context: Ranks, and the shared results computed so far.
    """

    def compute() -> Artifact:
        ranks = context.ranks
        found = ranks.gather(extract_features(extractor, ranks.share(images)), len(images))
        passes = passes_made("extraction", extractor, images[:1], len(images))
        return Artifact({"clean": in_half_precision(found)}, passes)

    content = {"features by": extractor.digest(), "images": identity}
    return context.shared.obtain(content, compute).tensors["clean"]


@torch.no_grad()
def passes_made(
    kind: SharedKind, extractor: Backbone, image: UInt8[Tensor, "n c h w"], num: int
) -> dict[str, Any]:
    """Return the number of image passes that computed a shared result, and the multiply-adds of one
    pass. In an image pass, a network processes one image once. The values are stored in the
    result's artifact, so that plans can estimate the cost of similar results.

    Args:
        kind: Whether features were extracted, or layers trained.
        extractor: The network, in evaluation mode.
        image: A batch of one image, for which multiply-adds are counted; may be empty.
        num: Number of passes.
    """
    device = next(extractor.parameters()).device
    size = multiply_adds(extractor, image.to(device)) if len(image) else 0
    return {"passes": kind, "image_passes": num, "multiply_adds": size or None}


def in_half_precision(features: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Return features in the precision in which they are stored: half precision, unless a value is
    too large for it.
    """
    features = features.cpu()
    fits = bool(features.abs().max() < _LARGEST_HALF) if features.numel() else True
    return features.half() if fits else features


def _varied(
    images: UInt8[Tensor, "n c h w"], generator: torch.Generator, context: LearningContext
) -> Iterator[UInt8[Tensor, "part c h w"]]:
    """Yield augmented copies of this rank's share of the images, part by part. Memory then need not
    hold augmented copies of all images at once.
    """
    share, drawn = context.ranks.span(len(images)), generator.get_state()
    for start in range(share.start, max(share.stop, share.start + 1), _VARIED_AT_ONCE):
        # Restart the generator for every part: `vary` draws random numbers for all images.
        generator.set_state(drawn)
        yield context.vary(
            images, generator, slice(start, min(share.stop, start + _VARIED_AT_ONCE))
        )


def features_by_class(
    extractor: Backbone, data: LabeledImages, num_views: int, context: LearningContext
) -> list[ClassFeatures]:
    """Return the power-normalised features of every class's images, in class order.

    Args:
        extractor: Used unchanged, in evaluation mode.
        data: Images of one or more classes.
        num_views: Augmented copies of every image, in addition to the original.
        context: Seed, device, ranks and augmentation.
    """
    features = extract_views(
        extractor, data.images, num_views, context.stream("views"), context
    ).normalized()
    return [features.subset(data.labels == label) for label in data.labels.unique()]
