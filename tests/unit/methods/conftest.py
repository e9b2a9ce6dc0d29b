"""A few images of real digits."""

import pytest
import torch

from orchestrator.config.scenario import ScenarioConfig
from orchestrator.data import ImageTable, Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario_building import build_scenario
from tests.unit.methods.few_digits import CLASSES, Digits


@pytest.fixture(scope="session")
def digits(digits_table: ImageTable) -> Digits:
    """Return four digits with thirty images each, for training and for testing."""
    order = ScenarioConfig(class_order=tuple(range(CLASSES)))
    scenario = build_scenario(digits_table, order, 0.0, 0)
    chosen = {}
    for split in (Split.TRAIN, Split.TEST):
        per_class = [scenario.images_of(split, [label]) for label in range(CLASSES)]
        chosen[split] = LabeledImages(
            torch.cat([images.images[:30] for images in per_class]),
            torch.cat([images.labels[:30] for images in per_class]),
        )
    return chosen
