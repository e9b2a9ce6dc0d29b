"""Embedding modules: features → points of the joint embedding space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.models.backbones.stages import FINAL, FeatureGroup


class PowerNormalization(nn.Module):
    """Take the signed square root of features, then scale them to length 1. Without the square
    root, a few large features would dominate every distance.

    No square root is taken of the statistics of stages; each group of statistics is scaled to
    length 1. Their square roots were measured to separate classes less well (CIFAR-10, first four
    stages of EfficientNet-Lite0, linear discriminant: 75.7 % without roots, 73.7 % with roots).
    """

    def __init__(self, groups: Sequence[FeatureGroup] = ()) -> None:
        """Store the groups of features.

        Args:
            groups: Groups of the features; features from the last layer are the last group. Without
                groups, all features come from the last layer.
        """
        super().__init__()
        self.statistics = tuple(group.size for group in groups if group.name != FINAL)
        self.has_final = not groups or groups[-1].name == FINAL

    def forward(self, features: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Return the normalised features. Each group of features has length 1."""
        num_final = features.shape[-1] - sum(self.statistics)
        *statistics, final = features.split([*self.statistics, num_final], dim=-1)
        parts = [functional.normalize(group, dim=-1) for group in statistics]
        if self.has_final:
            parts.append(functional.normalize(final.sign() * final.abs().sqrt(), dim=-1))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


_LEAST_VARIANCE_SHARE = 1e-4  # lower limit of a variance, as a share of the mean variance
_LEAST_VARIANCE = 1e-8


class WhitenedEmbedding(nn.Module):
    """The teacher's embedding: `z = w + adapter(s)` with `w = h W - o` and `s = (h - c) / d`, where
    `h` are the power-normalised features.

    `W` whitens the within-class covariance, which is pull and push in closed form. It shrinks
    directions in which images of one class differ, and stretches directions in which classes
    differ. `o` removes most of what all classes have in common. The last layer of the adapter
    starts at zero, so that training starts from the closed-form map and moves little. The adapter
    reads standardised features `s`, not whitened ones. Whitening amplifies noise in directions of
    small variance, and an adapter would fit this noise. A network trained on all classes at once
    reached 82.3 % with standardised features, and 77.4 % with whitened ones (docs/method.md,
    section 5).
    """

    whitening: Tensor
    offset: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        num_features: int,
        dimensions: int,
        adapter_width: int,
        groups: Sequence[FeatureGroup] = (),
    ) -> None:
        """Create an embedding module. Its whitening, offset and standardisation must be set
        afterwards.

        Args:
            num_features: Number of the extractor's features.
            dimensions: Dimensions of the joint embedding space.
            adapter_width: Hidden units of the adapter.
            groups: Groups of the extractor's features; without groups, all features come from the
                last layer.
        """
        super().__init__()
        self.normalization = PowerNormalization(groups)
        self.register_buffer("whitening", torch.eye(num_features, dimensions))
        self.register_buffer("offset", torch.zeros(dimensions))
        self.register_buffer("centre", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.adapter = nn.Sequential(
            nn.Linear(num_features, adapter_width), nn.ReLU(), nn.Linear(adapter_width, dimensions)
        )
        last = self.adapter[2]
        assert isinstance(last, nn.Linear)  # noqa: S101 - for the type checker
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Embed the extractor's features."""
        return self.embed_normalized(self.normalization(features))

    def embed_normalized(self, normalized: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Embed power-normalised features, such as stored class means."""
        return self.adapt(self.whiten(normalized), self.standardize(normalized))

    def whiten(self, normalized: Float[Tensor, "*n d"]) -> Float[Tensor, "*n m"]:
        """Whiten power-normalised features.

        An embedding is the sum of these whitened features and the adapter's output. Training
        changes only the adapter.
        """
        return normalized @ self.whitening - self.offset

    def standardize(self, normalized: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Return the standardised features, which are the inputs of the adapter. Training does not
        change the standardisation.
        """
        return (normalized - self.centre) * self.scale

    @torch.no_grad()
    def set_standardization(
        self, centre: Float[Tensor, " d"], variances: Float[Tensor, " d"]
    ) -> None:
        """Set the standardisation of the adapter's inputs. It must not be set again later, because
        the weights of the adapter depend on it.

        Args:
            centre: Mean of the features.
            variances: Variance of each feature within classes. Variances far below the mean
                variance are raised: a feature that hardly varies must not be stretched infinitely.
        """
        self.centre.copy_(centre)
        least = (_LEAST_VARIANCE_SHARE * variances.mean()).clamp_min(_LEAST_VARIANCE)
        self.scale.copy_(variances.clamp_min(least).rsqrt())

    def adapt(
        self, whitened: Float[Tensor, "*n m"], standardized: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n m"]:
        """Return the embeddings: their closed-form part plus the output of the adapter."""
        residual: Tensor = self.adapter(standardized)
        return whitened + residual


class ProjectionEmbedding(nn.Linear):
    """The embedding of students, and of methods without a closed form: one linear layer into the
    joint embedding space.
    """

    @torch.no_grad()
    def rebase(self, change: Float[Tensor, "m m"], shift: Float[Tensor, " m"]) -> None:
        """Adapt the layer to a change of the space's axes: instead of `z`, its output becomes `z
        change + shift`.
        """
        self.weight.copy_(change.T @ self.weight)
        self.bias.copy_(self.bias @ change + shift)
