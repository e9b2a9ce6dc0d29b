"""The number of held-out images that a gate needs is computed."""

import pytest

from orchestrator.config import Retraining
from orchestrator.config.gate import GateConfig
from orchestrator.retraining.changes import Finding
from orchestrator.retraining.gate_power import find_few_images, images_to_decide
from orchestrator.retraining.lineage import Lineage, TakenFile
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.statements import Difference, Share


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.2])
def test_the_computed_number_of_images_is_enough_and_one_less_is_not(margin: float) -> None:
    num = images_to_decide(GateConfig(margin=margin))

    def lower(num_images: int) -> float:
        share = Share(0.01, float(num_images))
        return Difference(share, share).bounds(1 - 0.95).lower

    assert lower(num) >= -margin > lower(num - 1)


def test_a_narrower_margin_and_used_images_need_more() -> None:
    assert images_to_decide(GateConfig(margin=0.01)) > images_to_decide(GateConfig(margin=0.02))
    assert images_to_decide(GateConfig(), uses=10) > images_to_decide(GateConfig())


def test_a_margin_of_zero_needs_more_images_than_can_exist() -> None:
    assert images_to_decide(GateConfig(margin=0)) == 1_000_000


def test_too_few_held_out_images_of_known_classes_are_found_before_learning() -> None:
    """A fifth of the images is held out; a margin of 2 % needs 241 of them."""
    retraining = Retraining.model_validate(
        {"experiment": {"name": "few"}, "source": {"path": "arrivals"}}
    )
    lineage = Lineage(tasks=(("a", "b"),))

    def found(num: int) -> list[Finding]:
        file = TakenFile(
            name="1.parquet",
            sha256="0",
            num_bytes=1,
            modified=0,
            delivery=1,
            num_images={"a": num, "c": 5000},
        )
        return find_few_images(Scan(kept=[file]), lineage, retraining)

    assert not found(1205)
    (finding,) = found(1000)
    assert finding.reaction == "warn"
    assert "about 200 held-out images" in finding.message
    assert "about 241" in finding.message
    assert not find_few_images(Scan(), Lineage(), retraining)
