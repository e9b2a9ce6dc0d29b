"""Read teachers stored by version 0.1, whose adapter read whitened features."""

from __future__ import annotations

import torch

from orchestrator.errors import ConfigError
from orchestrator.methods.artifacts import Tensors

_EMBEDDING = "network.embedding"


def as_stored_now(tensors: Tensors) -> Tensors:
    """Convert an artifact's tensors to the format of this version.

    A stored adapter without effect, as in a teacher whose refinement was discarded, is replaced by
    an adapter without effect that reads standardised features.

    Raises:
        ConfigError: The stored adapter has an effect, which this version cannot represent.
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
