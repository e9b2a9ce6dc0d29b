"""Large symmetric or triangular matrices are stored as triangles, and restored bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from orchestrator.stages.packed_matrices import packed, unpacked

SIZE = 300


def _matrix(size: int = SIZE) -> Tensor:
    return torch.randn(size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["symmetric", "triangular"])
def test_half_of_a_matrix_is_stored_and_all_of_it_is_restored(kind: str) -> None:
    matrix = _matrix().triu() if kind == "triangular" else _matrix() + _matrix().T
    kept = packed({"it": matrix})
    assert {name: tensor.numel() for name, tensor in kept.items()} == {
        f"it@{kind}": SIZE * (SIZE + 1) // 2
    }
    assert torch.equal(unpacked(kept)["it"], matrix)


@pytest.mark.parametrize(
    "tensor",
    [_matrix(), _matrix(8).triu(), _matrix()[:, :9], _matrix()[0], torch.zeros(2, 300, 300)],
    ids=["whole", "small", "oblong", "vector", "stack"],
)
def test_other_tensors_are_unchanged(tensor: Tensor) -> None:
    assert packed({"it": tensor})["it"] is tensor
    assert unpacked({"it": tensor})["it"] is tensor


def test_a_crafted_triangle_is_rejected() -> None:
    with pytest.raises(ValueError, match="not a triangle"):
        unpacked({"it@symmetric": torch.zeros(4)})
