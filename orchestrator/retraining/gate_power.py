"""Estimate before training how many held-out images the gate needs for a verdict."""

from __future__ import annotations

from orchestrator.config.gate import GateConfig
from orchestrator.config.retraining import Retraining
from orchestrator.retraining.changes import Finding, FindingKind
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.statements import Difference, Share

_ONE_SIDED_DISAGREEMENT = 0.01
_MOST_IMAGES = 1_000_000


def images_to_decide(gate: GateConfig, uses: float = 1.0) -> int:
    """Return how many held-out images of the champion's classes the gate needs to promote a
    candidate that is as accurate as the champion.

    The estimate assumes that the two models disagree on two images out of a hundred, and that each
    model is right on one of the two. Both numbers were measured for successive versions of a model.

    Args:
        gate: Configuration of the gate. With a margin of 0, no realistic number of images is
            enough.
        uses: Number of gate verdicts that use the images, including the next verdict.
    """
    risk = (1 - gate.confidence) / max(1.0, uses)
    enough = 1
    while not _passes(enough, gate.margin, risk):
        enough *= 2
        if enough > _MOST_IMAGES:
            return _MOST_IMAGES
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if _passes(middle, gate.margin, risk):
            enough = middle
        else:
            too_few = middle
    return enough


def find_few_images(found: Scan, lineage: Lineage, retraining: Retraining) -> list[Finding]:
    """Return a finding if the gate has too few held-out images to promote a candidate that is as
    accurate as the champion.

    Args:
        found: Scan of the source.
        lineage: Lineage of the champion.
        retraining: Configuration of the retraining, including the gate and the share of held-out
            images.
    """
    new = found.new_images()
    num_images = sum(
        new.get(label, 0) + sum(file.num_images.get(label, 0) for file in found.kept)
        for label in lineage.classes
    )
    num_held_out = round(retraining.source.held_out_fraction * num_images)
    enough = images_to_decide(retraining.gate)
    if not lineage.classes or num_held_out >= enough:
        return []
    what = (
        f"the gate will judge by about {num_held_out} held-out images of the champion's classes;"
        f" with a margin of {retraining.gate.margin:.1%} it needs about {enough:,} to pass an"
        " equally good candidate"
    )
    return [Finding(FindingKind.FEW_HELD_OUT, "warn", what)]


def _passes(num_images: int, margin: float, risk: float) -> bool:
    share = Share(_ONE_SIDED_DISAGREEMENT, float(num_images))
    return Difference(share, share).bounds(risk).lower >= -margin
