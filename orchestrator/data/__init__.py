"""Provide images as memory-mapped Arrow tables, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["ImageTable", "Scenario", "Split", "Task", "load_images"]

if TYPE_CHECKING:
    from orchestrator.data.image_table import ImageTable
    from orchestrator.data.loading import load_images
    from orchestrator.data.scenario import Scenario, Split, Task
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.data.image_table": ("ImageTable",),
            "orchestrator.data.loading": ("load_images",),
            "orchestrator.data.scenario": ("Scenario", "Split", "Task"),
        },
    )
