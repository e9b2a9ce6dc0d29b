"""Compute the teacher's class probabilities, because the teacher's classifier gives only
cosines.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from orchestrator.methods.dual_teacher.teacher.model import TeacherModel


class TeacherPosterior:
    """Log-probabilities of classes, if the embeddings of each class are normally distributed.

    The within-class covariance in the joint embedding space is the identity. The log-probability of
    a class with mean `m` is therefore `z·m - m²/2`, except for a term that all classes share. The
    direction of `m` is the classifier's direction of the class, which includes the result of
    refinement. The mean of few images is too long, by a factor that equals the length of the
    classifier's direction (`closed_form.directions_of`). In `m²`, the length of the mean is divided
    by this factor.
    """

    def __init__(self, teacher: TeacherModel) -> None:
        """Compute the class means from a teacher's statistics and classifier.

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
        # Do not divide by 0: the classifier's direction of a class is 0 if the embedded mean of the
        # class is 0. A direction shorter than 1 belongs to a mean that is far shorter than most.
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
        """Return each image's probabilities of the seen classes. The sum of a row is the
        probability that the image shows a seen class.

        Images of unseen classes are assumed to lie nearer to the mean of all images than to the
        mean of any seen class.

        Args:
            features: The extractor's raw features of many images, of seen and unseen classes.
            temperature: Temperature that softens how a row's sum is divided among the seen classes.
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
