"""Of how many images without labels a model is sure, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

SURE = 0.9
"""Least probability of the most probable class of an image of which a model is sure."""


@dataclass(frozen=True)
class Certainty:
    """Hold what a model makes of images without labels.

    Attributes:
        assigned: How many of them it assigns to each class.
        sure: How many of these with a probability of at least SURE.
    """

    assigned: Int64[Tensor, " classes"]
    sure: Int64[Tensor, " classes"]

    def __add__(self, other: Certainty) -> Certainty:
        return Certainty(self.assigned + other.assigned, self.sure + other.sure)


def certainty_of(logits: Float[Tensor, "n classes"]) -> Certainty:
    """Count what a model assigns to each class.

    Args:
        logits: Of every image, on the scale on which their softmax are probabilities
            (`calibration`).
    """
    num_classes = logits.shape[1]
    probabilities, classes = logits.softmax(dim=1).max(dim=1)
    sure = classes[probabilities >= SURE]
    return Certainty(classes.bincount(minlength=num_classes), sure.bincount(minlength=num_classes))
