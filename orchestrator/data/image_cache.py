"""Name the files that hold decoded images. The name depends on everything that the images depend
on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.config.data import DataConfig

FORMAT = 3
"""Format number, which is part of every file name. Raise the number when decoding changes, so that
files of the old format are ignored.
"""


def cache_file(config: DataConfig, key: str) -> Path:
    """Return the path of the file that holds the decoded images of a configuration.

    Args:
        config: Configuration of the source of the images.
        key: Key that must differ for different decoded images.
    """
    return config.cache_dir / f"{config.kind}-{key}.arrow"


def hashed(text: str) -> str:
    """Return a hash of a text as a short key for a cache file. The text must contain FORMAT (the
    version of the decoding) and everything else that determines the decoded images.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:32]
