"""Read teachers stored by version 0.1, whose adapter read whitened features."""

from __future__ import annotations

import torch

from orchestrator.errors import ConfigError
from orchestrator.methods.artifacts import Tensors

_EMBEDDING = "network.embedding"


def as_stored_now(tensors: Tensors) -> Tensors:
    """Convert an artifact's tensors to the format of this version.

    An adapter that adds nothing, as in a teacher whose refinement was discarded, becomes one that
    reads standardised features and adds nothing.

    Raises:
        ConfigError: The adapter adds something, which this version cannot represent.
    """
    if f"{_EMBEDDING}.whitening" not in tensors or f"{_EMBEDDING}.centre" in tensors:
        return tensors
    if tensors[f"{_EMBEDDING}.adapter.2.weight"].any():
        raise ConfigError(
            "the teacher was stored by version 0.1 with a refinement that this version cannot read",
            where="scenario.learned",
            next_step="set it to null to start learning from scratch",
        )
    num_features = len(tensors[f"{_EMBEDDING}.whitening"])
    width = len(tensors[f"{_EMBEDDING}.adapter.0.weight"])
    return tensors | {
        f"{_EMBEDDING}.centre": torch.zeros(num_features),
        f"{_EMBEDDING}.scale": torch.ones(num_features),
        f"{_EMBEDDING}.adapter.0.weight": torch.zeros(width, num_features),
    }
