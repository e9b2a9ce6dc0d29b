"""Build scenarios for tests, and inspect them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.config.scenario import ScenarioConfig
from orchestrator.data import ImageTable, Scenario, Split
from orchestrator.data.image_table import write_image_table
from orchestrator.data.scenario_building import build_scenario


def build(
    table: ImageTable,
    validation_fraction: float = 0.1,
    seed: int = 0,
    **config: Any,  # noqa: ANN401
) -> Scenario:
    """Build a scenario from a table."""
    return build_scenario(table, ScenarioConfig(**config), validation_fraction, seed)


def rows(scenario: Scenario, split: Split) -> set[int]:
    """Return the table rows that are in a split."""
    return {int(row) for of_class in scenario.indices[split] for row in of_class}


def small_table(
    folder: Path, counts: dict[str, tuple[int, int]], change: int | None = None
) -> ImageTable:
    """Return a table of 1x2x2 images with (training, test) counts per class; every pixel holds its
    row number.
    """
    labels = [name for name, sizes in counts.items() for _ in range(sum(sizes))]
    is_test = np.asarray(
        [row >= sizes[0] for sizes in counts.values() for row in range(sum(sizes))], dtype=np.bool_
    )
    images = np.repeat(np.arange(len(labels), dtype=np.uint8), 4).reshape(-1, 1, 2, 2)
    if change is not None:
        images[change] += 100
    return write_image_table(folder / f"{change}.arrow", "small", images, labels, is_test)


def is_in_a_file(images: torch.Tensor) -> bool:
    """Return whether the memory of a tensor is mapped from a file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(address, 16) for address in line.split()[0].split("-"))
        if start <= images.data_ptr() < end:
            return line.split()[4] != "0"
    return False
