"""Random generators, each derived from the seed and a purpose: no draw depends on what was drawn
elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed from the experiment's seed and what it is for."""
    return int.from_bytes(hashlib.sha256(repr((seed, purpose)).encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Modules made inside draw their weights from this purpose's stream; the caller's global CPU
    generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


@contextmanager
def seeded_layers(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Layers that draw by themselves while they learn, such as dropout, do it from this stream; the
    caller's generators stay as they were.

    They ask torch's global generators, which every process seeds by chance.

    Args:
        generator: Fresh from `stream`: what it was seeded with counts.
        device: Where the layers compute.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(generator.initial_seed())
        yield
