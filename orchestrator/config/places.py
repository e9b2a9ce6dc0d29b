"""List the settings that determine where results are computed and kept, or that limit images and
memory, but do not determine the results themselves.

Configurations that differ only in these settings count as equal in comparisons. A sweep may be
resumed with other values of these settings. A resumed run keeps the values that it logged when it
started.
"""

from __future__ import annotations

# Dotted paths of settings that are not compared: where results are computed and kept, and limits
# on images and memory (`data.max_…`). A path that ends in a dot covers all settings below it.
_PLACES = (
    "execution.",
    "store.",
    "tracking.",
    "data.cache_dir",
    "data.max_image_pixels",
    "data.max_memory_gib",
)


def is_place(path: str) -> bool:
    """Return whether the setting at a dotted path is one of these settings."""
    return path.startswith(_PLACES)
