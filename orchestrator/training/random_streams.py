"""Random generators, each derived from the seed and a purpose: no draw depends on other draws
elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from the experiment's seed and a purpose."""
    return int.from_bytes(hashlib.sha256(repr((seed, purpose)).encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed the weights of modules created inside from a purpose's stream, and restore the caller's
    global CPU generator afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


@contextmanager
def seeded_layers(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed layers that draw by themselves while they learn, such as dropout, from a stream, and
    restore the caller's generators afterwards.

    Such layers use torch's global generators, which every process seeds randomly.

    Args:
        generator: A new generator from `stream`: only its initial seed counts.
        device: Device of the layers.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(generator.initial_seed())
        yield
