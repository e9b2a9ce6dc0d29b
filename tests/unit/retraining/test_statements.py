"""Statistical statements: SciPy's exact bounds, and their rate of errors."""

import numpy as np
import pytest
from scipy.stats import binomtest

from orchestrator.retraining.statements import Difference, Share, Shortfall

RISK = 0.05


@pytest.mark.parametrize(("hits", "num"), [(0, 20), (7, 20), (20, 20)])
def test_bounds_of_one_class_are_exact_binomial(hits: int, num: int) -> None:
    flags = np.arange(num) < hits
    found = Share.of(flags, np.zeros(num, dtype=np.int64)).bounds(RISK)
    exact = binomtest(hits, num).proportion_ci(1 - 2 * RISK, "exact")
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (hits / num, exact.low, exact.high)
    )


def test_classes_of_equal_size_count_as_one_sample_and_unequal_ones_as_a_smaller_one() -> None:
    flags = np.ones(100, dtype=np.bool_)
    assert Share.of(flags, np.repeat([0, 1], 50)).size == pytest.approx(100)
    assert Share.of(flags, np.repeat([0, 1], [90, 10])).size == pytest.approx(36)


def test_equal_predictions_differ_by_zero_within_the_exact_bounds() -> None:
    same = np.ones(200, dtype=np.bool_)
    found = Difference.of(same, same, np.zeros(200, dtype=np.int64)).bounds(RISK)
    assert found.value == 0
    assert found.lower == -found.upper == pytest.approx(0.05 ** (1 / 200) - 1)


def test_a_shortfall_reverses_the_bounds() -> None:
    share = Share(0.9, 100.0)
    left, short = share.bounds(RISK), Shortfall(0.95, share).bounds(RISK)
    assert short.value == pytest.approx(0.05)
    assert (short.lower, short.upper) == pytest.approx((0.95 - left.upper, 0.95 - left.lower))


@pytest.mark.parametrize("num", [50, 200, 1000])
@pytest.mark.parametrize("gained", [0.0, 0.01, 0.05])
def test_a_difference_on_the_bound_is_seldom_judged_better(num: int, gained: float) -> None:
    """In 2,000 samples with the true difference on the bound, the share judged better is at most
    the risk (plus four standard errors of such a count).
    """
    random, margin, times = np.random.default_rng(0), 0.04, 2000
    counts = random.multinomial(num, [gained, gained + margin, 1 - 2 * gained - margin], times)
    size = float(num)
    wrongly = sum(
        Difference(Share(won / size, size), Share(lost / size, size)).bounds(RISK).lower >= -margin
        for won, lost, _ in counts.tolist()
    )
    assert wrongly <= times * RISK + 4 * (times * RISK * (1 - RISK)) ** 0.5
