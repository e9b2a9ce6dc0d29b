"""The three signals: p-values of cases worked by hand, and rates of false alarms."""

from collections.abc import Sequence
from math import comb

import numpy as np
import pytest

from orchestrator.config.monitoring import MonitoringConfig
from orchestrator.retraining.monitoring.records import Answers
from orchestrator.retraining.monitoring.signals import (
    class_p_values,
    compare,
    crossed_bounds,
    mixture_p_value,
)

CONFIG = MonitoringConfig()


def answers(closeness: Sequence[float], num_agreeing: int | None = None, **classes: int) -> Answers:
    return Answers(
        num_images=len(closeness),
        num_agreeing=len(closeness) if num_agreeing is None else num_agreeing,
        closeness=tuple(sorted(closeness)),
        classes=classes or {"a": len(closeness)},
    )


def test_two_images_below_all_of_three_held_out_ones_have_p_value_one_tenth() -> None:
    """Of five values in random order, two given ones are the lowest with probability 1 / C(5,
    2).
    """
    signals = compare(answers([-1, -2]), answers([1, 2, 3]), CONFIG)
    assert signals.far_p_value == pytest.approx(1 / comb(5, 2))
    assert signals.far_share == 1
    assert signals.expected_far_share == pytest.approx(1 / 4), "any of four is the lowest"


def test_an_image_exactly_at_the_threshold_is_not_far() -> None:
    signals = compare(answers(100 * [1.0]), answers(100 * [1.0]), CONFIG)
    assert (signals.far_share, signals.far_p_value) == (0, 1)


def test_the_threshold_is_a_quantile_of_the_held_out_images() -> None:
    signals = compare(answers([4.5, 3.5, 9, 9]), answers(range(99)), CONFIG)
    assert signals.expected_far_share == pytest.approx(0.05)
    assert signals.far_share == 0.25, "the fifth lowest of 99 is 4"


def test_a_loss_of_agreement_is_tested_by_fishers_exact_test() -> None:
    """4 of 5 disagree where all of 5 agree: C(5, 1) C(5, 5) + C(5, 0) … of C(10, 6)."""
    signals = compare(answers(5 * [0.0], 1), answers(5 * [0.0], 5), CONFIG)
    assert signals.agreement_p_value == pytest.approx(5 / comb(10, 6))
    more = compare(answers(5 * [0.0], 5), answers(5 * [0.0], 1), CONFIG)
    assert more.agreement_p_value == 1


def test_the_distance_of_two_mixtures_is_the_share_that_moved() -> None:
    new = answers(100 * [0.0], a=30, b=40, c=30)
    held_out = answers(50 * [0.0], a=25, b=25)
    signals = compare(new, held_out, CONFIG)
    assert signals.class_distance == pytest.approx(0.3)
    assert [*signals.moved] == ["c"], "the others may be chance"


def test_a_shift_of_one_class_among_a_hundred_is_detected_and_named() -> None:
    held_out = {f"{label}": 5 for label in range(100)}
    new = {**held_out, "7": 150}
    signals = compare(answers(645 * [0.0], **new), answers(500 * [0.0], **held_out), CONFIG)
    assert signals.class_p_value < 1e-20
    assert [*signals.moved] == ["7"]


@pytest.mark.parametrize("num_classes", [2, 10, 300])
def test_samples_of_one_mixture_rarely_appear_different(num_classes: int) -> None:
    """Of 40 pairs, 0.4 are expected below 1 %; more than 4 occur once in a thousand such tests."""
    random = np.random.default_rng(0)
    mixture = random.dirichlet(np.ones(num_classes))
    pairs = [
        np.stack([random.multinomial(200, mixture), random.multinomial(300, mixture)])
        for _ in range(40)
    ]
    p_values = [
        2 * min(mixture_p_value(pair[:, pair.any(axis=0)]), class_p_values(pair).min())
        for pair in pairs
    ]
    assert sum(p < 0.01 for p in p_values) <= 4


def test_classes_too_rare_to_compare_are_merged() -> None:
    rare = np.ones((2, 50), dtype=np.int64)
    assert mixture_p_value(np.concatenate([[[100], [100]], rare], axis=1)) == pytest.approx(1)
    only_there = rare * [[3], [0]]
    together = mixture_p_value(np.concatenate([[[100], [100]], only_there], axis=1))
    assert together == pytest.approx(mixture_p_value(np.array([[100, 150], [100, 0]])))
    assert mixture_p_value(np.array([[100], [100]])) == 1


def test_chance_crossings_and_small_differences_are_no_findings() -> None:
    few = answers(5 * [0.0], 1), answers(5 * [0.0], 5)
    assert crossed_bounds(compare(*few, CONFIG), *few, CONFIG) == []
    many = answers(50_000 * [0.0], 45_500), answers(50_000 * [0.0], 50_000)
    signals = compare(*many, CONFIG)
    assert signals.agreement_p_value < 1e-100
    assert crossed_bounds(signals, *many, CONFIG) == []
    strict = MonitoringConfig(max_agreement_drop=0.08)
    [found] = crossed_bounds(signals, *many, strict)
    assert "agree on 91.0 % of 50000 new images without labels, on 100.0 %" in found.message
