"""Selection of old prototypes and the size of the memory [A claims 1, 3]."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orchestrator.teacher.prototypes import select_prototype


@pytest.mark.parametrize("seed", range(5))
def test_the_prototype_is_the_sample_nearest_the_class_mean(seed: int) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    mean = embeddings.sum(axis=0) / 12
    nearest = min(range(12), key=lambda row: float(np.linalg.norm(embeddings[row] - mean)))
    assert select_prototype(torch.from_numpy(embeddings)) == nearest


def test_a_class_of_one_sample_has_that_sample_as_its_prototype() -> None:
    assert select_prototype(torch.ones(1, 3)) == 0
