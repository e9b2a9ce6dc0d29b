"""Pack square matrices whose lower half is redundant: an artifact keeps only the upper triangle.

For example, a teacher that uses the features of all stages (groups of layers) of its backbone has a
covariance matrix and a whitening matrix. With 3,424 rows each, they take 94 MB as matrices, and 47
MB as triangles. Unpacking restores every entry bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FEWEST_ROWS = 256  # packing smaller matrices is not worthwhile
_SYMMETRIC, _TRIANGULAR = "@symmetric", "@triangular"


def packed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by name, with large symmetric or upper triangular matrices replaced by
    their upper triangles. The name of a triangle ends with the kind of the replaced matrix.
    """
    kept = {}
    for name, tensor in tensors.items():
        kind = _kind_of(tensor)
        kept[f"{name}{kind}"] = tensor[_upper(len(tensor))] if kind else tensor
    return kept


def unpacked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Restore the tensors that were passed to `packed`.

    Raises:
        ValueError: A triangle does not have the number of entries of a square matrix.
    """
    return dict(_unpacked(name, tensor) for name, tensor in tensors.items())


def _unpacked(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    kind = next((it for it in (_SYMMETRIC, _TRIANGULAR) if name.endswith(it)), None)
    if kind is None:
        return name, tensor
    num_rows = round((2 * tensor.numel() + 0.25) ** 0.5 - 0.5)
    if tensor.dim() != 1 or num_rows * (num_rows + 1) // 2 != tensor.numel():
        msg = f"{name}: {tuple(tensor.shape)} is not a triangle"
        raise ValueError(msg)
    matrix = tensor.new_zeros(num_rows, num_rows)
    upper = _upper(num_rows)
    matrix[upper] = tensor
    if kind == _SYMMETRIC:
        matrix.T[upper] = tensor
    return name.removesuffix(kind), matrix


def _kind_of(tensor: Tensor) -> str:
    if tensor.dim() != 2 or tensor.shape[0] != tensor.shape[1] or len(tensor) < _FEWEST_ROWS:
        return ""
    if torch.equal(tensor, tensor.T):
        return _SYMMETRIC
    return "" if tensor.tril(-1).any() else _TRIANGULAR


def _upper(num_rows: int) -> Tensor:
    return torch.ones(num_rows, num_rows, dtype=torch.bool).triu()
