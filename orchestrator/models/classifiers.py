"""The two classifiers of embeddings, cosine and linear; both grow with every task."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# Factor of cosine logits: large enough for probabilities near 1, and small enough for learning.
COSINE_SCALE = 16.0


class CosineClassifier(nn.Module):
    """Classifier with the logits `16 · length · cos(z, anchor / length + residual)`: each class is
    a direction of the joint embedding space.

    The anchor of a class comes from a closed-form solution; `length` is the length of the anchor.
    The residual of a class is a learned correction of the anchor, and starts at zero
    (docs/method.md, section 2 (d)). A longer anchor makes its class more likely.
    """

    anchors: Tensor

    def __init__(self, dimensions: int) -> None:
        """Create a classifier without classes.

        Args:
            dimensions: Dimensions of the joint embedding space.
        """
        super().__init__()
        self.register_buffer("anchors", torch.zeros(0, dimensions))
        self.residuals = nn.Parameter(torch.zeros(0, dimensions))

    @property
    def num_classes(self) -> int:
        """Return the number of classes learned so far."""
        return len(self.anchors)

    def anchor(self, directions: Float[Tensor, "classes m"]) -> None:
        """Set the anchors of all classes: one direction per class, from a closed form, from a
        teacher, or drawn at random. The residual (learned correction) of every new class is zero.
        """
        num_new = len(directions) - len(self.residuals)
        grown = torch.cat(
            [self.residuals.detach(), directions.new_zeros(max(0, num_new), directions.shape[1])]
        )
        self.anchors = directions.detach().clone()
        self.residuals = nn.Parameter(grown)

    def rebase(self, change: Float[Tensor, "m m"]) -> None:
        """Adapt the classifier to new axes of the space, in which the point `z` has the coordinates
        `z change`. The residuals (learned corrections) are added to the anchors (closed-form class
        directions) and then set to zero.

        Predictions do not change. Adapting is not needed if the anchors are computed again in the
        new space.
        """
        directions = self.directions().detach()
        moved = torch.linalg.solve(change.double(), directions.double().T).T.to(directions.dtype)
        self.residuals = nn.Parameter(torch.zeros_like(moved))
        self.anchors = moved

    def restricted_to(self, num_classes: int) -> CosineClassifier:
        """Return a frozen copy with only the oldest classes: the classifier of an earlier task."""
        old = CosineClassifier(self.anchors.shape[1])
        old.anchors = self.anchors[:num_classes].clone()
        old.residuals = nn.Parameter(
            self.residuals[:num_classes].detach().clone(), requires_grad=False
        )
        return old

    def directions(self) -> Float[Tensor, "classes m"]:
        """Return the direction of each class: its anchor (closed-form direction) plus its residual
        (learned correction). The sum is scaled to the length of the anchor.
        """
        return self._directions(self.anchors)

    def forward(self, embeddings: Float[Tensor, "n m"]) -> Float[Tensor, "n classes"]:
        """Compute the logits of all classes."""
        return self.logits(embeddings, self.anchors)

    def logits(
        self, embeddings: Float[Tensor, "n m"], anchors: Float[Tensor, "classes m"]
    ) -> Float[Tensor, "n classes"]:
        """Compute the logits with the given anchors (one direction per class) instead of the stored
        ones. The teacher's refinement uses anchors that follow the embedding module in every step.
        """
        return COSINE_SCALE * functional.normalize(embeddings, dim=1) @ self._directions(anchors).T

    def _directions(self, anchors: Float[Tensor, "classes m"]) -> Float[Tensor, "classes m"]:
        lengths: Tensor = anchors.norm(dim=1, keepdim=True)
        return lengths * functional.normalize(
            functional.normalize(anchors, dim=1) + self.residuals, dim=1
        )


class LinearClassifier(nn.Module):
    """Classifier with the logits `z W + b` and fixed values. The values come from nearest class
    mean, ridge regression, linear discriminants, or a trained softmax regression.
    """

    weights: Tensor
    biases: Tensor

    def __init__(
        self, weights: Float[Tensor, "m classes"], biases: Float[Tensor, " classes"]
    ) -> None:
        """Store weights and biases.

        Args:
            weights: One column per class.
            biases: One bias per class.
        """
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("biases", biases)

    @property
    def num_classes(self) -> int:
        """Return the number of classes learned so far."""
        return len(self.biases)

    def forward(self, embeddings: Float[Tensor, "n m"]) -> Float[Tensor, "n classes"]:
        """Compute the logits of all classes."""
        return embeddings @ self.weights + self.biases
