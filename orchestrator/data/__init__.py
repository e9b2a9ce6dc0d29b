"""Images as memory-mapped Arrow tables, arriving task by task."""

from orchestrator.data.image_table import ImageTable
from orchestrator.data.scenario import Scenario, Split, Task
from orchestrator.data.sources import load_images

__all__ = ["ImageTable", "Scenario", "Split", "Task", "load_images"]
