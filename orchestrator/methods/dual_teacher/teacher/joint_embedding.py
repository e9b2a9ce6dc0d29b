"""Push and pull in the joint embedding space.

Embeddings are pulled towards the centre of their own class, and pushed away from the centres of
other classes. Patent A (see docs/method.md) describes push and pull in claim 7 and in paragraphs
58, 69 and 79.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from orchestrator.config.teacher import JointEmbeddingConfig


def distances_to(
    embeddings: Float[Tensor, "n m"], centres: Float[Tensor, "classes m"]
) -> Float[Tensor, "n classes"]:
    """Return the distance from each embedding to each centre, both scaled to length 1. Distances
    lie in [0, 2].
    """
    squared = (
        2 - 2 * functional.normalize(embeddings, dim=1) @ functional.normalize(centres, dim=1).T
    )
    # avoid 0, where the slope of the square root is infinite
    return squared.clamp_min(torch.finfo(embeddings.dtype).eps).sqrt()


def pull_loss(
    distances: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"], margin: float
) -> Float[Tensor, ""]:
    """Return the pull loss: the mean of `max(0, distance - margin)²` over samples, with the
    distance of each sample to the centre of its own class.
    """
    return functional.relu(distances.gather(1, labels[:, None]) - margin).square().mean()


def push_loss(
    distances: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"], margin: float
) -> Float[Tensor, ""]:
    """Return the push loss: the mean of `max(0, margin - distance)²`, with the distances of each
    sample to the centres of all other classes. It is 0 if there is only one class.
    """
    num_classes = distances.shape[1]
    if num_classes == 1:
        return distances.new_zeros(())
    lack = functional.relu(margin - distances).square()
    # Select by index: with a boolean mask, every step would wait for the GPU to count the selected
    # entries.
    others = torch.arange(num_classes - 1, device=labels.device).expand(len(labels), -1)
    return lack.gather(1, others + (others >= labels[:, None])).mean()


def keep_loss(
    embeddings: Float[Tensor, "n m"], previous: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    """Return the keep loss: the mean of 1 - cosine between current and previous embeddings."""
    return (1 - functional.cosine_similarity(embeddings, previous, dim=1)).mean()


def push_pull(
    embeddings: Float[Tensor, "n m"],
    labels: Int64[Tensor, " n"],
    centres: Float[Tensor, "classes m"],
    config: JointEmbeddingConfig,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return push and pull losses with the configured margins."""
    distances = distances_to(embeddings, centres)
    return push_loss(distances, labels, config.push_margin), pull_loss(
        distances, labels, config.pull_margin
    )
