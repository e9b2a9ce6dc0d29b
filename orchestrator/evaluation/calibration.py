"""Calibrate probabilities from logits of any scale (temperature scaling, Guo et al. 2017).

Without calibration, the softmax of logits hardly reflects how often the predicted class is right.
Cosine logits are too flat, and logits of discriminants in many dimensions are too steep.
Calibration multiplies all logits by one factor: the factor under which the given labels are most
probable. This factor takes wrong labels into account: if some labels are wrong, no image gets a
probability above the share of correct labels.

The factor is one of 17 factors, from 1/8 to 32 in steps of √2. Smaller steps would not change the
ranking of labels, and one pass over the images is enough to compare all factors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_FACTORS = tuple(2 ** (step / 2) for step in range(-6, 11))


def log_likelihoods(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, "n factors"]:
    """Return the log-probability of each image's given label under every calibration factor. A
    calibration factor multiplies all logits before the softmax.

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
    """Return the calibration factor (a multiplier of all logits) under which the given labels are
    most probable. The result is the factor's column in `likelihoods`, and the factor's value.

    Args:
        likelihoods: Result of `log_likelihoods`. Results for several parts of the images must be
            concatenated.
    """
    column = int(likelihoods.double().mean(dim=0).argmax())
    return column, _FACTORS[column]
