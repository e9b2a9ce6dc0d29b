"""The memory of old classes, whose training images are gone. For each class, the memory keeps one
prototype (an image), and one representation that describes mean and spread.

Patent A (see docs/method.md) describes the memory in claims 1 and 3 and in paragraphs 12 and 34.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics


@dataclass(frozen=True)
class PrototypeMemory:
    """All data that is kept of the seen classes.

    Attributes:
        exemplars: One image per class, the prototype of the class.
        statistics: The representations of all classes.
    """

    exemplars: UInt8[Tensor, "classes c h w"]
    statistics: ClassStatistics

    @property
    def num_bytes_per_class(self) -> int:
        """Return the number of stored bytes per class: exemplar, mean, spread and number of images.
        The covariance that all classes share is not counted.
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
    """Return the row of the image whose embedding is nearest the mean of its class
    (patent A, claim 3).

    Args:
        embeddings: Embeddings of the class's images.
        trust: Probability that the label of each image is right. An image with less than half of
            the greatest probability cannot become the prototype. None means that all labels are
            right.
    """
    if trust is None:
        trust = embeddings.new_ones(len(embeddings))
    mean = trust @ embeddings / trust.sum()
    distances = (embeddings - mean).square().sum(dim=1)
    return int(distances.masked_fill(trust < trust.max() / 2, torch.inf).argmin())
