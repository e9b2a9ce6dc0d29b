"""Count the unlabelled images that a model is sure of, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

SURE = 0.9
"""Smallest probability of an image's most probable class for which a model counts as sure."""


@dataclass(frozen=True)
class Certainty:
    """Counts of a model's predictions for unlabelled images.

    Attributes:
        assigned: Number of images assigned to each class.
        sure: Number of images assigned to each class with a probability of at least SURE.
    """

    assigned: Int64[Tensor, " classes"]
    sure: Int64[Tensor, " classes"]

    def __add__(self, other: Certainty) -> Certainty:
        return Certainty(self.assigned + other.assigned, self.sure + other.sure)


def certainty_of(logits: Float[Tensor, "n classes"]) -> Certainty:
    """Count the images that a model assigns to each class, and those that it is sure of.

    Args:
        logits: Logits of every image, scaled so that their softmax gives calibrated probabilities
            (`calibration`).
    """
    num_classes = logits.shape[1]
    probabilities, classes = logits.softmax(dim=1).max(dim=1)
    sure = classes[probabilities >= SURE]
    return Certainty(classes.bincount(minlength=num_classes), sure.bincount(minlength=num_classes))
