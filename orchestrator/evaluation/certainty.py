"""Count the unlabelled images that a model classifies with high probability, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

SURE = 0.9
"""A model is sure of an image if the probability of the most probable class is at least SURE."""


@dataclass(frozen=True)
class Certainty:
    """Numbers of unlabelled images by the class that a model predicts.

    Attributes:
        assigned: For each class, number of images for which the model predicts the class.
        sure: For each class, number of images for which the model predicts the class with a
            probability of at least SURE.
    """

    assigned: Int64[Tensor, " classes"]
    sure: Int64[Tensor, " classes"]

    def __add__(self, other: Certainty) -> Certainty:
        return Certainty(self.assigned + other.assigned, self.sure + other.sure)


def certainty_of(logits: Float[Tensor, "n classes"]) -> Certainty:
    """Count the images for which a model predicts each class. Also count, for each class, the
    predictions with a probability of at least SURE.

    Args:
        logits: Logits of every image, scaled so that their softmax gives calibrated probabilities
            (`calibration`).
    """
    num_classes = logits.shape[1]
    probabilities, classes = logits.softmax(dim=1).max(dim=1)
    sure = classes[probabilities >= SURE]
    return Certainty(classes.bincount(minlength=num_classes), sure.bincount(minlength=num_classes))
