"""Which settings say where something is computed and kept, and not what.

No number depends on them. So configurations that differ in nothing else are one to whoever compares
them, a sweep may be gone on with in other places, and a run that is gone on with keeps what it has
logged of its first.
"""

from __future__ import annotations

# Beginnings of dotted paths.
_PLACES = (
    "execution.",
    "store.",
    "tracking.",
    "data.cache_dir",
    "data.max_image_pixels",
    "data.max_memory_gib",
)


def is_place(path: str) -> bool:
    """Whether the setting at a dotted path is one of them."""
    return path.startswith(_PLACES)
