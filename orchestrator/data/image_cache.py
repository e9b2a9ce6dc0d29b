"""The names of the files that hold decoded images: other images have another name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.config.data import DataConfig

FORMAT = 3
"""Part of every name. Raise it when images are decoded differently: old files are then ignored."""


def cache_file(config: DataConfig, key: str) -> Path:
    """Return the file for the images of a configuration.

    Args:
        config: Where the images come from.
        key: Differs where the decoded images do.
    """
    return config.cache_dir / f"{config.kind}-{key}.arrow"


def hashed(text: str) -> str:
    """Return a short key for a text: FORMAT and all that the images depend on."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
