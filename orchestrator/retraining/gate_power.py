"""How many held-out images a gate needs: said before anything is learned."""

from __future__ import annotations

from orchestrator.config.gate import GateConfig
from orchestrator.retraining.statements import Difference, Share

_ONE_SIDED_DISAGREEMENT = 0.01
_MOST_IMAGES = 1_000_000


def images_to_decide(gate: GateConfig, uses: float = 1.0) -> int:
    """Return how many held-out images of the champion's classes let an equally good candidate pass.

    Equally good models are assumed to disagree on two images of a hundred, one in favour of each,
    as neighbouring versions of one model were seen to.

    Args:
        gate: Margin and confidence; a margin of 0 needs more images than anybody has.
        uses: Verdicts that the images have given, the coming one included.
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


def _passes(num_images: int, margin: float, risk: float) -> bool:
    share = Share(_ONE_SIDED_DISAGREEMENT, float(num_images))
    return Difference(share, share).bounds(risk).lower >= -margin
