"""Images as memory-mapped Arrow tables, arriving task by task."""

from orchestrator.data.image_table import ImageTable
from orchestrator.data.loading import load_images
from orchestrator.data.scenario import Scenario, Split, Task

__all__ = ["ImageTable", "Scenario", "Split", "Task", "load_images"]
