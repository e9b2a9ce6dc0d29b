"""Choose how far to shrink a covariance, from how reliable its estimate is."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def shrinkage_for_images(
    covariance: Float[Tensor, "d d"],
    degrees_of_freedom: float,
    enough_images: float,
    few_images: float,
) -> float:
    """Return the share of a covariance to replace by its target, in (0, 1].

    The odds of the returned share are the odds of `enough_images`, plus `few_images` times r / f.
    Here r is the covariance's number of effective dimensions, `tr(S)² / tr(S²)`, and f the
    estimate's degrees of freedom. Optimal shrinkage depends on the same ratio (Ledoit and Wolf
    2004), but minimises the error of the covariance itself. A classifier needs the inverse of the
    covariance, where noise counts more, by a factor that only data can determine.

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
    # The noise of the estimate S adds tr(S)² / freedom to tr(S²).
    squared = (covariance.square().sum() - trace_squared / freedom).clamp_min(
        trace_squared / len(covariance)
    )
    ratio = float(trace_squared / squared / freedom) if trace_squared else 0.0
    odds = enough_images / (1 - enough_images) + few_images * ratio
    return odds / (1 + odds)
