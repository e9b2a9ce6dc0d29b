"""The cost of every extractor that a student can inherit from a teacher's backbone: parameters,
multiply-adds, latency. Such an extractor ends after a stage (group of layers) of the backbone, and
is called a cut.

Hooks count the multiply-adds of convolutions and linear layers. `torch.utils.flop_counter` gives
the same numbers (a test compares them). But its first use imports TorchDynamo, which takes seconds
and would delay `orchestrator plan`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from orchestrator.config.backbones import BackboneConfig, without_pretrained_weights
from orchestrator.models.backbones.backbone import Backbone, build_backbone
from orchestrator.models.backbones.body import Shape
from orchestrator.models.backbones.stages import stage_name

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NUM_TIMED = 5


@dataclass(frozen=True)
class Cost:
    """The cost of an extractor, without any classifier.

    Attributes:
        num_parameters: Parameters and buffers, as counted by `Network.num_parameters`.
        num_multiply_adds: Number of multiply-adds of convolutions and linear layers for one image.
            The multiply-adds for the mirror image are included if the extractor processes it.
        latency_seconds: Seconds to process one image on one thread of this machine; None if not
            measured.
    """

    num_parameters: int
    num_multiply_adds: int
    latency_seconds: float | None


@dataclass(frozen=True)
class Cut:
    """An extractor that ends with a stage of the teacher's backbone.

    Attributes:
        stage: Name of the extractor's last stage.
        num_channels: Channels of the last stage's map.
        map_size: Height and width of the last stage's map.
        num_features: Number of features per image.
        cost: Parameters, multiply-adds and latency of the extractor.
    """

    stage: str
    num_channels: int
    map_size: tuple[int, int]
    num_features: int
    cost: Cost


@dataclass(frozen=True)
class Cuts:
    """The costs (parameters, multiply-adds, latency) of a teacher's extractor and of its cuts. A
    cut is a shorter extractor that ends after one of the stages.

    Attributes:
        whole: Cost of the whole extractor.
        mirrored: Whether the whole extractor and its cuts also process the mirror image of every
            image.
        cuts: The cuts, smallest first.
    """

    whole: Cost
    mirrored: bool
    cuts: tuple[Cut, ...]


@torch.no_grad()
def cuts_of(
    config: BackboneConfig, shape: Shape, only: str | None = None, *, is_timed: bool = False
) -> Cuts:
    """Return the costs (parameters, multiply-adds, latency) of a backbone and of its cuts. A cut is
    a shorter extractor that ends after one of the backbone's stages. Weights are random, so that no
    weights are downloaded.

    Args:
        config: The teacher's backbone.
        shape: Shape of the images.
        only: Name of the only stage after which to cut, or None for a cut after every stage.
        is_timed: Whether to measure latency.

    Raises:
        ConfigError: The backbone cannot be built, or has no stages.
    """
    with torch.random.fork_rng(devices=()):
        whole = build_backbone(without_pretrained_weights(config), shape).eval()
    image = torch.zeros(1, *shape, dtype=torch.uint8)
    stages = [stage_name(number) for number in range(1, len(whole.stages().channels) + 1)]
    cuts = [
        _cut(whole, stage, image, is_timed) for stage in stages if only is None or stage == only
    ]
    return Cuts(_cost(whole, image, is_timed), whole.mirrored, tuple(cuts))


def _cut(whole: Backbone, stage: str, image: UInt8[Tensor, "1 c h w"], is_timed: bool) -> Cut:
    extractor = whole.until(stage).eval()
    stages = extractor.stages()
    sizes: list[torch.Size] = []

    def note(_module: nn.Module, _inputs: object, output: tuple[list[Tensor], object]) -> None:
        sizes.append(output[0][-1].shape[-2:])

    with _hooked([stages], note):
        cost = _cost(extractor, image, is_timed)
    height, width = sizes[0]
    return Cut(stage, stages.channels[-1], (height, width), extractor.num_features, cost)


def _cost(extractor: Backbone, image: UInt8[Tensor, "1 c h w"], is_timed: bool) -> Cost:
    num_parameters = sum(tensor.numel() for tensor in extractor.state_dict().values())
    num_multiply_adds = multiply_adds(extractor, image)
    latency = _latency_seconds(extractor, image) if is_timed else None
    return Cost(num_parameters, num_multiply_adds, latency)


def multiply_adds(network: nn.Module, inputs: Tensor) -> int:
    """Return the multiply-adds of all convolutions and linear layers; other operations are not
    counted.

    Args:
        network: The network, which is run once on the inputs.
        inputs: A batch of inputs; the result is the total for the batch.
    """
    total = 0

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - for the type checker
        total += output.numel() * weight[0].numel()

    counted = [module for module in network.modules() if isinstance(module, _COUNTED)]
    with _hooked(counted, count):
        network(inputs)
    return total


def _latency_seconds(extractor: Backbone, image: UInt8[Tensor, "1 c h w"]) -> float:
    def one_look() -> float:
        started = time.perf_counter()
        extractor(image)
        return time.perf_counter() - started

    with one_thread():
        one_look()  # warm-up: the first run takes longer
        return median(one_look() for _ in range(_NUM_TIMED))


@contextmanager
def _hooked(modules: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
