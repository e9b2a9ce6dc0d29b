"""Embedding modules: features → points of the joint embedding space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.models.backbones.stages import FINAL, FeatureGroup


class PowerNormalization(nn.Module):
    """Signed square root, then length 1: tames the few large features that would rule every
    distance.

    Statistics of stages keep their values, and each group of them has length 1: their roots were
    measured to tell less (CIFAR-10, first four stages of EfficientNet-Lite0, linear discriminant:
    75.7 % against 73.7 %).
    """

    def __init__(self, groups: Sequence[FeatureGroup] = ()) -> None:
        """Fix which features belong together.

        Args:
            groups: That the features consist of, the final ones last; none means that all are
                final.
        """
        super().__init__()
        self.statistics = tuple(group.size for group in groups if group.name != FINAL)
        self.has_final = not groups or groups[-1].name == FINAL

    def forward(self, features: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Give features whose groups have length 1 each."""
        num_final = features.shape[-1] - sum(self.statistics)
        *statistics, final = features.split([*self.statistics, num_final], dim=-1)
        parts = [functional.normalize(group, dim=-1) for group in statistics]
        if self.has_final:
            parts.append(functional.normalize(final.sign() * final.abs().sqrt(), dim=-1))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


class WhitenedEmbedding(nn.Module):
    """The teacher's: `z = w + adapter(w)` with `w = h W - o`, where `h` are the power-normalised
    features.

    `W` whitens the within-class covariance, which *is* pull and push in closed form: directions in
    which classes vary inside shrink, those in which they differ stretch. `o` takes away most of
    what all classes have in common. The adapter is learned on top; its last layer starts at zero,
    so that training starts from the closed-form map and moves little.
    """

    whitening: Tensor
    offset: Tensor

    def __init__(
        self,
        num_features: int,
        dimensions: int,
        adapter_width: int,
        groups: Sequence[FeatureGroup] = (),
    ) -> None:
        """Starts with a whitening that has yet to be set.

        Args:
            num_features: Of the extractor.
            dimensions: Of the joint embedding space.
            adapter_width: Hidden units of the adapter.
            groups: That the extractor's features consist of; none means that all are final.
        """
        super().__init__()
        self.normalization = PowerNormalization(groups)
        self.register_buffer("whitening", torch.eye(num_features, dimensions))
        self.register_buffer("offset", torch.zeros(dimensions))
        self.adapter = nn.Sequential(
            nn.Linear(dimensions, adapter_width), nn.ReLU(), nn.Linear(adapter_width, dimensions)
        )
        last = self.adapter[2]
        assert isinstance(last, nn.Linear)  # noqa: S101 - for the type checker
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Embeds the extractor's features."""
        return self.embed_normalized(self.normalization(features))

    def embed_normalized(self, normalized: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Embeds power-normalised features, such as stored class means."""
        return self.adapt(self.whiten(normalized))

    def whiten(self, normalized: Float[Tensor, "*n d"]) -> Float[Tensor, "*n m"]:
        """The closed-form part of the map; training does not change it."""
        return normalized @ self.whitening - self.offset

    def adapt(self, whitened: Float[Tensor, "*n m"]) -> Float[Tensor, "*n m"]:
        """The learned part of the map."""
        # the adapter sees directions only: lengths differ from data set to data set
        direction = functional.normalize(whitened, dim=-1) * whitened.shape[-1] ** 0.25
        residual: Tensor = self.adapter(direction)
        return whitened + residual


class ProjectionEmbedding(nn.Linear):
    """The student's, and that of methods without a closed form: one linear layer into the joint
    embedding space.
    """

    @torch.no_grad()
    def rebase(self, change: Float[Tensor, "m m"], shift: Float[Tensor, " m"]) -> None:
        """Follows the joint embedding space when its axes change: `z` becomes `z change + shift`,
        exactly.
        """
        self.weight.copy_(change.T @ self.weight)
        self.bias.copy_(self.bias @ change + shift)
