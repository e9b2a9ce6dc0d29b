"""Choose the device that a process computes on, and move tensors to a device.

Code that computes names no kind of device: it reads the device from `LearningContext.device`,
`ArtifactContext.device` or a tensor. Kinds of devices are named only here, and by the code that
configures, checks and starts the execution.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from orchestrator.errors import ConfigError

CPU = torch.device("cpu")
_GPU = torch.device("cuda")


def device_for(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device that a configuration asks for; `auto` means a GPU if torch finds one.

    Raises:
        ConfigError: The configuration asks for a GPU, but torch finds none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "execution.device = 'cuda', but torch sees no GPU here", next_step="use auto or cpu"
        )
    return _GPU if wanted != "cpu" and torch.cuda.is_available() else CPU


def granted_device(has_gpu: bool) -> torch.device:
    """Return the GPU if Ray has granted a GPU to this process, otherwise the CPU."""
    return _GPU if has_gpu else CPU


def is_gpu(device: torch.device) -> bool:
    """Return whether a device is a GPU."""
    return device.type == "cuda"


def num_gpus() -> int:
    """Return how many GPUs torch finds on this machine."""
    return torch.cuda.device_count()


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor moved to a device. A copy from the CPU to a GPU goes through pinned memory,
    so that the CPU can prepare the next batch during the copy.
    """
    if is_gpu(device) and not is_gpu(tensor.device):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
