"""Statistical statements about accuracies, with confidence bounds that depend on the number of
images.

The bounds of a share are the exact binomial bounds of Clopper and Pearson (Biometrika 1934),
computed with SciPy's beta distribution. The difference between two models on the same images is the
gained share minus the lost share. Its bounds combine the bounds of both shares by the method of
variance estimates recovery (Zou & Donner, Statistics in Medicine 2008).

All classes have equal weight, so the sample size is Kish's effective sample size.
`benchmarks/gate.py` measures how often the statements are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64, Int64

Flags = Bool[np.ndarray, " images"]
Strata = Int64[np.ndarray, " images"]


@dataclass(frozen=True)
class Bounds:
    """A measured value with its confidence bounds.

    Attributes:
        value: The measured value.
        lower: Lower bound; the true value is smaller with a probability of at most the risk.
        upper: Upper bound; the true value is larger with a probability of at most the risk.
    """

    value: float
    lower: float
    upper: float


class Statement(Protocol):
    """A quantity measured on a sample of images."""

    def bounds(self, risk: float, factor: float = 1.0) -> Bounds:
        """Return the measured value with its confidence bounds.

        Args:
            risk: Largest allowed probability that the true value is below the lower bound; the same
                probability is allowed for a true value above the upper bound. In (0, 0.5].
            factor: Factor by which the number of images is multiplied to compute the bounds. The
                measured value stays the same.
        """
        ...


@dataclass(frozen=True)
class Share:
    """The share of images with a property, such as a correct prediction.

    Each class or task has equal weight.

    Attributes:
        rate: The share, in [0, 1].
        size: Effective number of images.
    """

    rate: float
    size: float

    @classmethod
    def of(cls, flags: Flags, strata: Strata) -> Share:
        """Return the share of true flags, with equal weight for each stratum (class or task).

        Args:
            flags: (images,), whether an image has the property, such as a correct prediction; at
                least one image.
            strata: (images,), the class or task of each image.
        """
        weights = balanced_weights(strata)
        return cls(float(weights @ flags), float(1 / np.square(weights).sum()))

    def bounds(self, risk: float, factor: float = 1.0) -> Bounds:
        """Return the share of images with the property, and its exact confidence bounds.

        The arguments are those of `Statement.bounds`.
        """
        from scipy.special import betaincinv  # noqa: PLC0415 - slow to import

        trials = self.size * factor
        hits = self.rate * trials
        misses = max(trials - hits, 0.0)
        lower = float(betaincinv(hits, misses + 1, risk)) if hits > 0 else 0.0
        upper = float(betaincinv(hits + 1, misses, 1 - risk)) if misses > 0 else 1.0
        return Bounds(self.rate, lower, upper)


@dataclass(frozen=True)
class Difference:
    """The accuracy of one model minus the accuracy of another model, on the same images.

    Attributes:
        gained: Share of images that only the first model classifies correctly.
        lost: Share of images that only the second model classifies correctly.
    """

    gained: Share
    lost: Share

    @classmethod
    def of(cls, first: Flags, second: Flags, strata: Strata) -> Difference:
        """Return the difference between the accuracies of two models.

        Args:
            first: (images,), whether the first model is right.
            second: (images,), whether the second model is right.
            strata: (images,), the class of each image.
        """
        return cls(Share.of(first & ~second, strata), Share.of(second & ~first, strata))

    def bounds(self, risk: float, factor: float = 1.0) -> Bounds:
        """Return the difference between the two accuracies, with confidence bounds.

        The arguments are those of `Statement.bounds`.
        """
        gained, lost = self.gained.bounds(risk, factor), self.lost.bounds(risk, factor)
        value = gained.value - lost.value
        return Bounds(
            value,
            value - math.hypot(gained.value - gained.lower, lost.upper - lost.value),
            value + math.hypot(gained.upper - gained.value, lost.value - lost.lower),
        )


@dataclass(frozen=True)
class Shortfall:
    """The amount by which a measured share is below a known number, such as an earlier accuracy.

    Attributes:
        known: The known number, in [0, 1].
        share: The measured share.
    """

    known: float
    share: Share

    def bounds(self, risk: float, factor: float = 1.0) -> Bounds:
        """Return the shortfall (known number minus measured share) with its confidence bounds.

        The arguments are those of `Statement.bounds`.
        """
        left = self.share.bounds(risk, factor)
        return Bounds(self.known - left.value, self.known - left.upper, self.known - left.lower)


def balanced_weights(strata: Strata) -> Float64[np.ndarray, " images"]:
    """Return a weight for each image. Each stratum (class or task) has the same total weight, and
    all weights sum to 1.
    """
    _, inverse, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[inverse]))
