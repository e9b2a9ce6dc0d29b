"""Derive random generators from the seed, one for each kind of random draws, such as batches or
augmentation. Draws of one kind never depend on draws of another kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from orchestrator.devices import is_gpu


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from the experiment's seed and from `purpose`, which names the random
    draws.
    """
    return int.from_bytes(hashlib.sha256(repr((seed, purpose)).encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for the random draws that `purpose` names. The generator's seed is
    derived from the experiment's seed.
    """
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's global CPU generator while a `with` block creates modules, so that the modules'
    weights are reproducible. The seed is the result of `derive_seed`. After the block, restore the
    state of the generator.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


@contextmanager
def seeded_layers(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed layers that draw random numbers during training, such as dropout, while a `with` block
    runs. After the block, restore the state of torch's global generators.

    By default, these layers draw from global generators that have a different seed in every
    process.

    Args:
        generator: A new generator from `stream`, of which only the initial seed is used.
        device: Device of the layers.
    """
    with torch.random.fork_rng(devices=[device] if is_gpu(device) else []):
        torch.manual_seed(generator.initial_seed())
        yield
