"""Selection of old prototypes and the size of the memory [A claims 1, 3]."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orchestrator.teacher.prototypes import PrototypeMemory, select_prototype
from orchestrator.teacher.statistics import ClassStatistics


@pytest.mark.parametrize("seed", range(5))
def test_the_prototype_is_the_sample_nearest_the_class_mean(seed: int) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    mean = embeddings.sum(axis=0) / 12
    nearest = min(range(12), key=lambda row: float(np.linalg.norm(embeddings[row] - mean)))
    assert select_prototype(torch.from_numpy(embeddings)) == nearest


def test_a_class_of_one_sample_has_that_sample_as_its_prototype() -> None:
    assert select_prototype(torch.ones(1, 3)) == 0


def test_bytes_per_class_count_one_image_and_one_representation() -> None:
    statistics = ClassStatistics(
        means=torch.zeros(4, 5),
        counts=torch.zeros(4, dtype=torch.int64),
        radii=torch.zeros(4),
        factors=torch.zeros(4, 2, 5),
        covariance=torch.eye(5),
    )
    memory = PrototypeMemory(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), statistics)
    assert memory.num_bytes_per_class() == 64 + 5 * 4 + 8 + 4 + 2 * 5 * 4
