"""How many held-out images a gate needs."""

import pytest

from orchestrator.config.gate import GateConfig
from orchestrator.retraining.gate_power import images_to_decide
from orchestrator.retraining.statements import Difference, Share


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.2])
def test_so_many_images_are_enough_and_one_less_is_not(margin: float) -> None:
    num = images_to_decide(GateConfig(margin=margin))

    def lower(num_images: int) -> float:
        share = Share(0.01, float(num_images))
        return Difference(share, share).bounds(1 - 0.95).lower

    assert lower(num) >= -margin > lower(num - 1)


def test_a_narrower_margin_and_images_used_before_need_more() -> None:
    assert images_to_decide(GateConfig(margin=0.01)) > images_to_decide(GateConfig(margin=0.02))
    assert images_to_decide(GateConfig(), uses=10) > images_to_decide(GateConfig())


def test_a_margin_of_nothing_needs_more_images_than_anybody_has() -> None:
    assert images_to_decide(GateConfig(margin=0)) == 1_000_000
