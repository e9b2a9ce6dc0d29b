"""Provide images as memory-mapped Arrow tables, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.data.image_table import ImageTable
    from orchestrator.data.loading import load_images
    from orchestrator.data.scenario import Scenario, Split, Task

__all__ = ["ImageTable", "Scenario", "Split", "Task", "load_images"]

_HOMES = {
    "ImageTable": "image_table",
    "Scenario": "scenario",
    "Split": "scenario",
    "Task": "scenario",
    "load_images": "loading",
}


def __getattr__(name: str) -> object:
    """Import names on first access, so that importing images needs no torch and saves half a
    gigabyte.
    """
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - with the names above, it would be one

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
