"""Ranges of the distributions of a search space."""

import pytest

from orchestrator.config.distributions import NormalConfig


def test_a_normal_distribution_ends_at_its_limits_or_3_7_standard_deviations_from_its_mean() -> (
    None
):
    assert NormalConfig(mean=1, sd=2).bounds == pytest.approx((-6.4, 8.4))
    assert NormalConfig(mean=1, sd=2, low=0, high=100).bounds == pytest.approx((0, 8.4))
