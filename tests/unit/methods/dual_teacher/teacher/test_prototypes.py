"""Selection of old prototypes and the size of the memory (patent A, claims 1 and 3)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory, select_prototype
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics


@pytest.mark.parametrize("seed", range(5))
def test_the_prototype_is_the_sample_nearest_the_class_mean(seed: int) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    mean = embeddings.sum(axis=0) / 12
    nearest = min(range(12), key=lambda row: float(np.linalg.norm(embeddings[row] - mean)))
    assert select_prototype(torch.from_numpy(embeddings)) == nearest


def test_a_class_of_one_sample_has_that_sample_as_its_prototype() -> None:
    assert select_prototype(torch.ones(1, 3)) == 0


@pytest.mark.parametrize("num_classes", [2, 7])
def test_a_class_stores_one_exemplar_and_one_representation_whatever_its_size(
    num_classes: int,
) -> None:
    statistics = ClassStatistics(
        means=torch.zeros(num_classes, 100),
        counts=torch.ones(num_classes, dtype=torch.int64),
        radii=torch.zeros(num_classes),
        factors=torch.zeros(num_classes, 3, 100),
        covariance=torch.eye(100),
    )
    memory = PrototypeMemory(torch.zeros(num_classes, 3, 32, 32, dtype=torch.uint8), statistics)
    assert memory.num_bytes_per_class == 3 * 32 * 32 + 4 * 100 + 8 + 4 + 4 * 3 * 100


def test_a_doubted_image_does_not_become_a_prototype() -> None:
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.3], [0.0, -1.0]])
    assert select_prototype(embeddings) == 0
    assert select_prototype(embeddings, torch.tensor([0.1, 0.9, 0.8, 0.3])) in (1, 2)
