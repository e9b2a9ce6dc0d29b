"""The memory of classes whose images are gone: one prototype and one representation per class [A
claims 1, 3; §12, §34].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics


@dataclass(frozen=True)
class PrototypeMemory:
    """All data kept of the classes seen so far.

    Attributes:
        exemplars: One image per class: the old prototype.
        statistics: One representation per class.
    """

    exemplars: UInt8[Tensor, "classes c h w"]
    statistics: ClassStatistics

    @property
    def num_bytes_per_class(self) -> int:
        """Return the stored bytes per class: those of the exemplar, mean, spread and count of the
        class, without the covariance that all classes share.
        """
        own = (
            self.exemplars,
            self.statistics.means,
            self.statistics.counts,
            self.statistics.radii,
            self.statistics.factors,
        )
        return sum(tensor[:1].nbytes for tensor in own)


def select_prototype(
    embeddings: Float[Tensor, "n m"], trust: Float[Tensor, " n"] | None = None
) -> int:
    """Return the row of the sample nearest the mean of its class in the embedding space [A claim
    3].

    Args:
        embeddings: Embeddings of the class's images.
        trust: Trust in the images' labels. Images with less than half of the greatest trust cannot
            become the prototype; None trusts all.
    """
    if trust is None:
        trust = embeddings.new_ones(len(embeddings))
    mean = trust @ embeddings / trust.sum()
    distances = (embeddings - mean).square().sum(dim=1)
    return int(distances.masked_fill(trust < trust.max() / 2, torch.inf).argmin())
