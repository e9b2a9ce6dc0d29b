"""Compute the teacher's class probabilities; its classifier gives only cosines."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from orchestrator.methods.dual_teacher.teacher.model import TeacherModel


class TeacherPosterior:
    """Log-probabilities of classes under the normal distributions of the joint embedding space.

    In this space the within-class covariance is the identity. So `z·m - m²/2` is the
    log-probability of the class with mean `m`, except for a term that all classes share. The
    classifier's directions replace the directions of the means, because they include the result of
    refinement. An anchor's length exceeds 1 by the error that few images add to the length of a
    mean (`closed_form.directions_of`); that error is subtracted from `m²`.
    """

    def __init__(self, teacher: TeacherModel) -> None:
        """Read the classes from a teacher.

        Args:
            teacher: A teacher after any task.
        """
        self._embedding = teacher.network.embedding
        directions = teacher.network.classifier.directions().detach()
        with torch.no_grad():
            means = self._embedding.embed_normalized(
                teacher.memory.statistics.means.to(directions.device)
            )
        lengths = means.norm(dim=1)
        self._points = lengths[:, None] * functional.normalize(directions, dim=1)
        # no anchor is shorter than 1, except the anchor of length 0 of a class without a mean
        self._squares = (lengths / directions.norm(dim=1).clamp_min(1)).square()

    @torch.no_grad()
    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
        """Return unnormalised log-probabilities of the seen classes.

        Args:
            features: The extractor's raw features.
        """
        return self._logits(self._embedding(features))

    @torch.no_grad()
    def shares(
        self, features: Float[Tensor, "n d"], temperature: float
    ) -> Float[Tensor, "n classes"]:
        """Return each image's probabilities of the seen classes; a row sums to the probability that
        the image is of any seen class.

        Images of unseen classes lie nearer to the mean of all images than to the mean of any seen
        class.

        Args:
            features: The extractor's raw features of many images, of seen and unseen classes.
            temperature: Softens the probabilities among the seen classes.
        """
        embedded = self._embedding(features)
        centre = embedded.mean(dim=0)
        other = embedded @ centre - centre.square().sum() / 2
        seen = self._logits(embedded)
        known = functional.softmax(torch.cat([seen, other[:, None]], dim=1), dim=1)[:, :-1]
        return known.sum(dim=1, keepdim=True) * functional.softmax(seen / temperature, dim=1)

    def _logits(self, embedded: Float[Tensor, "n m"]) -> Float[Tensor, "n classes"]:
        logits: Tensor = embedded @ self._points.T - self._squares / 2
        return logits
