"""The loss of one batch in a student's stage. Its terms are distillation from the teacher's
classifier and the real answers, imitation of the teacher's embeddings, stability of the features,
classification of prototypes, and a penalty on the residuals of the student's classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator.config.student import StudentConfig
from orchestrator.methods.dual_teacher.student.losses import (
    embedding_loss,
    stability_loss,
    transfer_loss,
)
from orchestrator.methods.dual_teacher.student.model import TaughtNetwork
from orchestrator.methods.dual_teacher.student.taught_images import (
    TaughtImages,
)
from orchestrator.methods.dual_teacher.student.transfer import (
    kdr,
    soften,
    transfer_ratios,
)
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.dual_teacher.teacher.posterior import TeacherPosterior
from orchestrator.models import (
    Backbone,
)
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step


class _Taught(NamedTuple):
    """The teacher's class logits for the images of a batch.

    Attributes:
        logits: Logits whose distribution is mixed into the student's target.
        compared: Logits of the distribution that the similarity KDR compares with the student's
            distribution or with the real answer.
    """

    logits: Tensor
    compared: Tensor


@dataclass(frozen=True)
class Distillation:
    """The loss of one student's stage, with the networks, images and labels that the loss reads."""

    network: TaughtNetwork
    teacher: TeacherModel
    images: TaughtImages
    labels: Tensor
    config: StudentConfig
    context: LearningContext
    extractor_before: Backbone | None

    def loss(self, rows: Tensor, step: Step) -> LossOutput:
        """Return the weighted sum of the configured losses on one batch of images."""
        generator = self.context.stream_of_rank("student views", step.index)
        labels = self.labels[rows].to(self.context.device)
        batch = self.images.batch(rows, generator)
        output = self.network(batch.images)
        with torch.no_grad():
            embeddings = self.teacher.network.embedding(batch.features)
            teacher_logits = self.teacher.network.classifier(embeddings)
        parts: dict[str, float | Tensor] = {}
        num = len(rows)
        # A softmax of the teacher's cosines is too flat: it gives even the right label a low
        # probability. The similarity `answer` therefore uses probabilities from the teacher's
        # posterior.
        believed = (
            self._posterior.logits(batch.features[:num])
            if self.config.transfer.similarity == "answer"
            else teacher_logits[:num]
        )
        taught = _Taught(teacher_logits[:num], believed)
        total = self._transfer(output.logits[:num], taught, labels, step, parts)
        if self.config.embedding_weight:
            imitation = embedding_loss(output.embeddings[:num], embeddings[:num])
            parts["embedding"] = imitation.detach()
            if len(batch.images) > num:
                imitation = imitation + self.config.mixture_weight * embedding_loss(
                    output.embeddings[num:], embeddings[num:]
                )
            total = total + self.config.embedding_weight * imitation
        if self.extractor_before is not None and self.config.stability_weight:
            with torch.no_grad():
                features_before = self.extractor_before(batch.images)
            drift = stability_loss(output.features, features_before)
            parts["drift"] = drift.detach()
            total = total + self.config.stability_weight * drift
        if self.config.prototype_weight and len(self.teacher.vectors):
            total = total + self.config.prototype_weight * self._prototype_loss(generator)
        if self.config.has_both_teachers:
            total = (
                total
                + self.config.anchor_weight
                * self.network.classifier.residuals.square().sum(dim=1).mean()
            )
        return LossOutput(total, parts)

    def _transfer(
        self,
        student_logits: Tensor,
        taught: _Taught,
        labels: Tensor,
        step: Step,
        parts: dict[str, float | Tensor],
    ) -> Tensor:
        """Return the classification loss of patent B, steps 1 to 6. If the teacher's classifier is
        not distilled, the target is the real answer alone.
        """
        rule, temperature = self.config.transfer, self.config.temperature
        with torch.no_grad():
            similarities = kdr(
                soften(student_logits, temperature),
                soften(taught.compared, temperature),
                labels,
                rule.similarity,
            )
        ratio: float | Tensor = 0.0
        if self.config.classifier_weight and not rule.is_per_sample:
            mean = self._mean(similarities)
            similarity: float | Tensor = mean
            ratio = rule.checked_tssr(mean, step.progress)
        else:
            similarity = self._reported(similarities)
            if self.config.classifier_weight:
                ratio = transfer_ratios(similarities, rule, step.progress)
        mean_ratio = self._reported(ratio) if isinstance(ratio, Tensor) else ratio
        parts.update(kdr=similarity, tstr=step.progress, tssr=mean_ratio)
        return (self.config.classifier_weight or 1.0) * transfer_loss(
            student_logits, taught.logits, labels, ratio, temperature
        )

    @cached_property
    def _posterior(self) -> TeacherPosterior:
        return TeacherPosterior(self.teacher)

    def _reported(self, of_share: Tensor) -> float | Tensor:
        """Return the mean of a value over the whole batch, for reports. With a single rank the mean
        stays a tensor, so that no training step waits for a GPU.
        """
        return of_share.mean() if self.context.ranks.size == 1 else self._mean(of_share)

    def _mean(self, of_share: Tensor) -> float:
        """Return the mean over the whole batch, given the values of the images that this rank
        processes.
        """
        ranks = self.context.ranks
        return ranks.mean(
            float(of_share.mean()), len(of_share) * ranks.size / self.config.training.batch_size
        )

    def _prototype_loss(self, generator: torch.Generator) -> Tensor:
        """Return the student's classification loss on augmented prototypes of old classes.
        Augmented prototypes are points of the joint embedding space, so this loss needs no images.
        """
        num_old, num_vectors, _ = self.teacher.vectors.shape
        labels = torch.arange(num_old, device=self.context.device)
        chosen = torch.randint(num_vectors, (num_old,), generator=generator).to(self.context.device)
        embedding = self.teacher.network.embedding
        with torch.no_grad():
            prototypes = embedding.embed_normalized(
                self.teacher.memory.statistics.means[:num_old].to(self.context.device)
            )
        return functional.cross_entropy(
            self.network.classifier(prototypes + self.teacher.vectors[labels, chosen]), labels
        )
