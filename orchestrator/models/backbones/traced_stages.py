"""The stages of a network that torch.fx can trace. torchvision's feature extraction returns the
output maps of the stages.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from orchestrator.errors import ConfigError
from orchestrator.models.backbones.stages import Stages

_PROBED_SIDE = 96
_POOLING = (nn.MaxPool2d, nn.AvgPool2d)


class TracedStages(Stages):
    """Stages that end at named modules of a network."""

    def __init__(
        self, network: nn.Module, ends: Sequence[str], channels: Sequence[int], is_whole: bool
    ) -> None:
        """Trace a network.

        Args:
            network: Images → final features. The network is not copied: the stages share its
                modules.
            ends: Names of the modules whose outputs are the stages' maps.
            channels: Number of channels of each map.
            is_whole: Whether to return the final features as well.
        """
        super().__init__([], channels, None)
        self.ends = tuple(ends)
        # The tuple prevents torch from registering the network as a submodule.
        self._source = (network,)
        nodes = {name: name for name in ends}
        if is_whole:
            # In this class, `head` computes nothing. A value other than None only marks that the
            # final features are returned as well.
            self.head = nn.Identity()
            nodes[_last_node(network)] = "final"
        self.network = create_feature_extractor(
            network, train_return_nodes=nodes, eval_return_nodes=nodes
        )

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return the output maps of all stages, and the final features. If the network is cut after
        a stage, return None instead of the final features.
        """
        found = self.network(images)
        final = found.get("final")
        return [found[name] for name in self.ends], None if final is None else final.flatten(1)

    def until(self, num: int) -> Stages:
        """Return a copy of the network's first `num` stages, without the layers that follow."""
        (network,) = copy.deepcopy(self._source)
        return TracedStages(network, self.ends[:num], self.channels[:num], is_whole=False)


class _Probed(NamedTuple):
    """A module, and the size of the map that it outputs."""

    name: str
    is_pooling: bool
    channels: int
    side: int


def stages_of(network: nn.Module) -> Stages:
    """Return the stages of a network. Consecutive blocks form one stage if their maps have the same
    number of channels and pixels.

    Raises:
        ConfigError: The network cannot be traced, or none of its blocks returns maps.
    """
    probed = _probed(network)
    ends = [one for one, after in zip_longest(probed, probed[1:]) if _ends_stage(one, after)]
    if not ends:
        raise ConfigError(
            "this network has no stages to take features from",
            where="backbone",
            next_step="choose a convolutional network, or features: {kind: final}",
        )
    names, channels = [one.name for one in ends], [one.channels for one in ends]
    return TracedStages(network, names, channels, is_whole=True)


def _ends_stage(one: _Probed, after: _Probed | None) -> bool:
    if one.is_pooling:  # a pooling layer begins the next stage
        return False
    return after is None or (after.channels, after.side) != (one.channels, one.side)


@torch.no_grad()
def _probed(network: nn.Module) -> list[_Probed]:
    """Return the maps of the network's top-level blocks, in the order of computation."""
    inner = getattr(network, "features", None)
    prefix, blocks = ("features.", inner) if isinstance(inner, nn.Sequential) else ("", network)
    found: list[_Probed] = []
    handles = []
    for name, block in blocks.named_children():

        def note(_module: nn.Module, _inputs: object, output: object, at: str = name) -> None:
            if isinstance(output, Tensor) and _is_map(output):
                is_pooling = isinstance(_module, _POOLING)
                found.append(_Probed(prefix + at, is_pooling, output.shape[1], output.shape[2]))

        handles.append(block.register_forward_hook(note))
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, 3, _PROBED_SIDE, _PROBED_SIDE))
    except (AssertionError, RuntimeError):  # the network requires another image size
        return []
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return found


def _is_map(output: Tensor) -> bool:
    return output.dim() == 4 and output.shape[2] == output.shape[3] > 1


def _last_node(network: nn.Module) -> str:
    names: list[str] = get_graph_node_names(network, suppress_diff_warning=True)[1]
    return names[-1]
