"""Measure the costs of using a network: stored values, multiply-adds, time for one image."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from orchestrator.models.backbones.cuts import multiply_adds, one_thread
from orchestrator.models.network import AnyNetwork

_TIMED_IMAGES = 40
_WARM_UP_IMAGES = 10


@dataclass(frozen=True)
class NetworkCosts:
    """The costs of a network. They depend on the layers and their sizes, not on the values of the
    weights.

    Attributes:
        num_parameters: Number of learned values, as counted by `Network.num_parameters`.
        multiply_adds: Multiply-adds of convolutions, linear layers and matrix products, for one
            image.
        bytes: Size of all values in their stored precision.
    """

    num_parameters: int
    multiply_adds: int
    bytes: int


@torch.no_grad()
def costs_of(network: AnyNetwork, image: UInt8[Tensor, "1 c h w"]) -> NetworkCosts:
    """Return the costs of a network: parameters, multiply-adds and bytes. To count multiply-adds,
    the network is run once on the image.
    """
    network.eval()
    extractor_multiply_adds = multiply_adds(network.extractor, image)
    features = network.extractor(image)
    with _Products() as products:
        network.classifier(network.embedding(features))
    num_bytes = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    return NetworkCosts(
        network.num_parameters(), extractor_multiply_adds + products.multiply_adds, num_bytes
    )


def latency_ms(network: AnyNetwork, images: UInt8[Tensor, "n c h w"]) -> float:
    """Return the median milliseconds for one image on one CPU thread.

    Args:
        network: The network in evaluation mode.
        images: Images that are processed in turn.
    """
    seconds = []
    with one_thread(), torch.inference_mode():
        for turn in range(_WARM_UP_IMAGES + _TIMED_IMAGES):
            started = time.perf_counter()
            network(images[turn % len(images)][None])
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[_WARM_UP_IMAGES:])


def machine_name() -> str:
    """Return the processor of this machine and torch's version, which determine latency."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        processor = named.partition(":")[2].strip()
    return f"{processor}, torch {torch.__version__}"


class _Products(TorchDispatchMode):
    """Count the multiply-adds of matrix products. `torch.utils.flop_counter` gives the same
    numbers, but importing it takes seconds.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has not typed it
        self.multiply_adds = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's operators have no public type
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - any operator's result
        output = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            self.multiply_adds += output.numel() * args[0].shape[-1]
        elif func is torch.ops.aten.addmm.default:
            self.multiply_adds += output.numel() * args[1].shape[-1]
        return output
