"""Softened distributions and their similarity KDR [patent B steps 1 to 3].

The rules that select TSSR from it are in `config.transfer`.
"""

from __future__ import annotations

import math
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from orchestrator.config.transfer import (
    Similarity,
)

Distribution = Float[Tensor, "n classes"]


def soften(logits: Distribution, temperature: float) -> Distribution:
    """`softmax(logits / temperature)`: STK of the teacher's logits, P of the student's [B steps 1,
    2].
    """
    return functional.softmax(logits / temperature, dim=1)


def kdr(student: Distribution, teacher: Distribution, similarity: Similarity) -> float:
    """Similarity of two class distributions, the mean over the batch, in [0, 1] [B step 3].

    Args:
        student: P, each row adds up to 1.
        teacher: STK, likewise.
        similarity: `jensen_shannon` is 1 - JS divergence / ln 2, `cosine` the cosine of the angle
            between the rows.
    """
    match similarity:
        case "jensen_shannon":
            mixture = (student + teacher) / 2
            divergence = (
                _relative_entropy(student, mixture) + _relative_entropy(teacher, mixture)
            ) / 2
            similarities = 1 - divergence / math.log(2)
        case "cosine":
            similarities = functional.cosine_similarity(student, teacher, dim=1)
        case _:
            assert_never(similarity)
    return min(1.0, max(0.0, float(similarities.mean())))


def _relative_entropy(p: Distribution, q: Distribution) -> Float[Tensor, " n"]:
    """KL divergence of each row of p from q, in nats; 0 log 0 counts as 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=1)
