"""Calibrate probabilities from logits of any scale (temperature scaling, Guo et al. 2017).

Cosine logits are too flat, and logits of discriminants in many dimensions are too steep: the
softmax of either hardly reflects how often the predicted class is right. Multiplying the logits by
one factor corrects this: the factor under which the given labels are most probable. If some labels
are wrong, the factor accounts for them: no image then gets a probability above the share of correct
labels.

The factor is chosen from 17 factors, from 1/8 to 32 in steps of √2: finer steps change no ranking,
and one pass over the images serves all factors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_FACTORS = tuple(2 ** (step / 2) for step in range(-6, 11))


def log_likelihoods(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, "n factors"]:
    """Return the log-probability of each label under every factor.

    Args:
        logits: Logits of all classes.
        labels: The given label of each image.
    """
    given = labels[:, None]
    columns = [
        torch.log_softmax(logits.float() * factor, dim=1).gather(1, given)[:, 0]
        for factor in _FACTORS
    ]
    return torch.stack(columns, dim=1)


def likeliest_factor(likelihoods: Float[Tensor, "n factors"]) -> tuple[int, float]:
    """Return the column and the value of the factor under which the labels are most probable.

    Args:
        likelihoods: Result of `log_likelihoods`; results for several parts are concatenated.
    """
    column = int(likelihoods.double().mean(dim=0).argmax())
    return column, _FACTORS[column]
