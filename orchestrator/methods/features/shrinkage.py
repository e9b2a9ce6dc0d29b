"""Choose how far to shrink an estimated covariance: the less data the estimate has, the further."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def shrinkage_for_images(
    covariance: Float[Tensor, "d d"],
    degrees_of_freedom: float,
    enough_images: float,
    few_images: float,
) -> float:
    """Return the share in (0, 1] of a covariance to replace by the target of shrinkage.

    The odds of the returned share are the odds of `enough_images`, plus `few_images` times r / f.
    Here r is the number of effective dimensions of the covariance S, `tr(S)² / tr(S²)`, and f the
    estimate's degrees of freedom. Ledoit and Wolf (2004) derive optimal shrinkage from the same
    ratio, but they minimise the error of the covariance itself. A classifier needs the inverse of
    the covariance, where noise has more effect. How much more must be measured, so `few_images` is
    a setting.

    Args:
        covariance: The estimate.
        degrees_of_freedom: Degrees of freedom of the estimate.
        enough_images: The share for many images, in (0, 1].
        few_images: Factor of r / f; 0 always gives `enough_images`.
    """
    if enough_images == 1:
        return 1.0
    covariance, freedom = covariance.double(), max(1.0, degrees_of_freedom)
    trace_squared = covariance.trace().square()
    # The noise of the estimate S raises tr(S²) by tr(S)² / freedom on average. Subtract this
    # increase.
    squared = (covariance.square().sum() - trace_squared / freedom).clamp_min(
        trace_squared / len(covariance)
    )
    ratio = float(trace_squared / squared / freedom) if trace_squared else 0.0
    odds = enough_images / (1 - enough_images) + few_images * ratio
    return odds / (1 + odds)
