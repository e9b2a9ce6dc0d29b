"""Probabilities that can be believed, from logits of any scale (temperature scaling, Guo et al.
2017).

Logits of cosines are too flat, those of discriminants in many dimensions too steep: the softmax of
either says little about how often a class is right. One factor mends that, the one under which the
given labels are most probable. Where some labels are wrong it allows for that: no image is then
certain beyond the share of labels that are right.

The factor is chosen among 17, from 1/8 to 32 in steps of √2: finer ones change no ranking, and one
look at the images serves all of them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_FACTORS = tuple(2 ** (step / 2) for step in range(-6, 11))


def log_likelihoods(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, "n factors"]:
    """Return the logarithm of the probability of each label, under every factor.

    Args:
        logits: Of all classes.
        labels: The given labels.
    """
    given = labels[:, None]
    columns = [
        torch.log_softmax(logits.float() * factor, dim=1).gather(1, given)[:, 0]
        for factor in _FACTORS
    ]
    return torch.stack(columns, dim=1)


def likeliest_factor(likelihoods: Float[Tensor, "n factors"]) -> tuple[int, float]:
    """Return the factor under which the labels are most probable: its column, and its value.

    Args:
        likelihoods: As `log_likelihoods` returns them; of several parts, one below the other.
    """
    column = int(likelihoods.double().mean(dim=0).argmax())
    return column, _FACTORS[column]
