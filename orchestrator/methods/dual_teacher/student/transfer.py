"""The transfer ratio of patent B: KDR, TSTR and the selection of TSSR from both [B steps 3 to 5].

The abstract says only that TSSR is "selected"; the rules are ours. All are monotone: early or
dissimilar leans on the teacher (large TSSR), late and similar leans on the real answers (small
TSSR).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from orchestrator.config.student import (
    FixedTransferConfig,
    LinearTransferConfig,
    Similarity,
    ThresholdTransferConfig,
    TransferConfig,
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


def tssr(config: TransferConfig, similarity: float, progress: float) -> float:
    """The transfer ratio for a batch, in [0, 1] [B step 5].

    Args:
        config: The selection rule.
        similarity: KDR, in [0, 1].
        progress: TSTR, in [0, 1].
    """
    match config:
        case ThresholdTransferConfig():
            row = bisect_right(config.similarity_thresholds, similarity)
            return config.ratios[row][bisect_right(config.progress_thresholds, progress)]
        case FixedTransferConfig():
            return config.ratio
        case LinearTransferConfig():
            return config.start + (config.end - config.start) * progress
        case _:
            assert_never(config)


def _relative_entropy(p: Distribution, q: Distribution) -> Float[Tensor, " n"]:
    """KL divergence of each row of p from q, in nats; 0 log 0 counts as 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=1)
