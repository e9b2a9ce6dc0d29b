"""Read teachers stored by version 0.1, in which the adapter of the embedding module read whitened
features. Adapters of later versions read standardised features.
"""

from __future__ import annotations

import torch

from orchestrator.errors import ConfigError
from orchestrator.methods.artifacts import Tensors

_EMBEDDING = "network.embedding"


def as_stored_now(tensors: Tensors) -> Tensors:
    """Convert an artifact's tensors to the format of this version.

    If the stored refinement was discarded, the stored adapter leaves embeddings unchanged. It is
    replaced by an adapter for standardised features that leaves embeddings unchanged as well.

    Raises:
        ConfigError: The stored adapter changes embeddings. This version cannot represent it.
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
