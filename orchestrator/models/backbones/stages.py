"""The stages of a network: the network can be cut after each stage, and features can be computed
from the output of each stage.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_LEAST_VARIANCE = 1e-12  # added to variances: the slope of their square root is infinite at 0
FINAL = "final"
"""Name of the group of features from the last layer."""


class FeatureGroup(NamedTuple):
    """Consecutive features of an image that come from one stage, or from the last layer.

    Attributes:
        name: `final`, or a stage and a statistic, such as `stage2.mean`.
        size: Number of features.
    """

    name: str
    size: int


class Stages(nn.Module):
    """A chain of stages, followed by the head: the layers after the last stage.

    A stage ends where the next layer has fewer pixels or more channels.
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        channels: Sequence[int],
        head: nn.Module | None,
        num_final: int | None = None,
    ) -> None:
        """Join the stages and the head.

        Args:
            parts: One module per stage: images → first map, first map → second map, and so on.
            channels: Channels of each map.
            head: Last map → final features; None for a cut network.
            num_final: Number of final features that `head` returns, if the original network returns
                another number.
        """
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.channels = tuple(channels)
        self.head, self.num_final = head, num_final

    def forward(self, images: Float[Tensor, "n c h w"]) -> tuple[list[Tensor], Tensor | None]:
        """Return the output maps of all stages, and the final features. If the network is cut after
        a stage, return None instead of the final features.
        """
        maps, found = [], images
        for part in self.parts:
            found = part(found)
            maps.append(found)
        return maps, None if self.head is None else self.head(found).flatten(1)

    def last(self) -> list[nn.Module]:
        """Return the layers of the last stage, if they can be separated from the previous ones;
        otherwise all layers.
        """
        return [self.parts[-1]] if len(self.parts) else [self]

    def until(self, num: int) -> Stages:
        """Return a copy of the network's first `num` stages, without the layers that follow.

        Batch normalisation is folded into the preceding convolutions. The outputs stay the same,
        with fewer parameters. When the layers are trained further, the statistics of the
        normalisation stay fixed.
        """
        parts = copy.deepcopy(self.parts[:num])
        _fold_batch_normalization(parts)
        return Stages([*parts], self.channels[:num], None)


class StageFeatures(nn.Module):
    """Named groups of features: statistics of every stage, and the final features."""

    def __init__(self, stages: Stages, num_final: int, pooled: Collection[int]) -> None:
        """Define the groups of features.

        Args:
            stages: Stages of the whole or the cut network.
            num_final: Number of final features of a whole network, if `stages` does not state it.
            pooled: Numbers of the stages, counted from 1, that also return the means of the four
                quarters of their maps (cells).
        """
        super().__init__()
        self.stages = stages
        self.pooled = tuple(sorted(n for n in set(pooled) if n <= len(stages.channels)))
        self.groups = (*self._groups_of_stages(), *self._final_group(stages.num_final or num_final))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Return the features of all groups, concatenated."""
        maps, final = self.stages(images)
        found = []
        for number, values in enumerate((each.float() for each in maps), 1):
            mean = values.mean(dim=(2, 3))
            variance = (values - mean[..., None, None]).square().mean(dim=(2, 3))
            found += [mean, (variance + _LEAST_VARIANCE).sqrt()]
            if number in self.pooled:
                found.append(_cells(values))
        return torch.cat(found if final is None else [*found, final.float()], dim=1)

    def _groups_of_stages(self) -> list[FeatureGroup]:
        groups = []
        for number, channels in enumerate(self.stages.channels, 1):
            name = stage_name(number)
            groups += [FeatureGroup(f"{name}.mean", channels)]
            groups += [FeatureGroup(f"{name}.deviation", channels)]
            if number in self.pooled:
                groups.append(FeatureGroup(f"{name}.cells", 4 * channels))
        return groups

    def _final_group(self, num_final: int) -> list[FeatureGroup]:
        return [] if self.stages.head is None else [FeatureGroup(FINAL, num_final)]


def _fold_batch_normalization(module: nn.Module) -> None:
    """Fold batch normalisation into convolutions, in place. A normalisation is folded if it is
    registered directly after a convolution.
    """
    children = list(module.named_children())
    for (name, child), (after, follower) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child.eval(), follower.eval()))
            setattr(module, after, nn.Identity())
    for child in module.children():
        _fold_batch_normalization(child)


def stage_name(number: int) -> str:
    """Return the name that experiment files use for a stage, given its number counted from 1."""
    return f"stage{number}"


def _cells(values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 4*c"]:
    """Return the mean of each quarter of a map. If the height or width is odd, the quarters share
    the middle row or column.

    torch's adaptive pooling does the same, but cannot be exported to ONNX for odd sides.
    """
    height, width = values.shape[-2:]
    rows = (slice(0, (height + 1) // 2), slice(height // 2, None))
    columns = (slice(0, (width + 1) // 2), slice(width // 2, None))
    cells = [values[:, :, r, c].mean(dim=(2, 3)) for r in rows for c in columns]
    return torch.stack(cells, dim=2).flatten(1)
