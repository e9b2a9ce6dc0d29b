"""The stages of timm's networks, including transformers, as timm defines these stages."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from orchestrator.errors import ConfigError
from orchestrator.models.backbones.stages import Stages


class TimmStages(Stages):
    """Stages of a timm network that can return its intermediate maps.

    timm's option `features_only` also gives the intermediate maps, but not the final features.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, ...], is_whole: bool) -> None:
        """Wrap a network.

        Args:
            network: A network of timm. It is not copied: the stages share its modules.
            channels: Number of channels of each stage to return, from the first stage on.
            is_whole: Whether to return the final features as well.
        """
        super().__init__([], channels, nn.Identity() if is_whole else None)
        self.network: Any = network

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return the output maps of all stages, and the final features. If the network is cut after
        a stage, return None instead of the final features.
        """
        wanted = list(range(len(self.channels)))
        if self.head is None:
            maps = self.network.forward_intermediates(
                images, indices=wanted, stop_early=True, intermediates_only=True
            )
            return maps, None
        last, maps = self.network.forward_intermediates(images, indices=wanted)
        return maps, self.network.forward_head(last).flatten(1)

    def until(self, num: int) -> Stages:
        """Return a copy of the network's first `num` stages, without the layers that follow."""
        network = copy.deepcopy(self.network)
        network.prune_intermediate_layers(list(range(num)), prune_norm=True, prune_head=True)
        return TimmStages(network, self.channels[:num], is_whole=False)


def stages_of(network: nn.Module) -> Stages:
    """Return the stages of a network without its classifier.

    Raises:
        ConfigError: timm cannot extract intermediate maps from this network.
    """
    known: Any = getattr(network, "feature_info", None)
    if not (known and hasattr(network, "forward_intermediates")):
        raise ConfigError(
            f"timm cannot extract features of stages from {type(network).__name__}",
            where="backbone.name",
            next_step="choose another network, or features: {kind: final}",
        )
    return TimmStages(network, tuple(stage["num_chs"] for stage in known), is_whole=True)
