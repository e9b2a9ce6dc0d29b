"""Losses of the student: imitation of the teacher's embeddings, distillation of the teacher's class
distributions, and stability of the features.

The first two losses follow patent A (claim 8, paragraphs 52 and 71) and patent B (step 6); see
docs/method.md.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from orchestrator.methods.dual_teacher.student.transfer import soften


def embedding_loss(
    student: Float[Tensor, "n m"], teacher: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    """Return the mean squared distance between the directions of the student's and the teacher's
    embeddings, in [0, 4] (patent A, first half of claim 8).
    """
    return (
        (functional.normalize(student, dim=1) - functional.normalize(teacher, dim=1))
        .square()
        .sum(dim=1)
        .mean()
    )


def stability_loss(
    features: Float[Tensor, "n d"], before: Float[Tensor, "n d"]
) -> Float[Tensor, ""]:
    """Return how far the features of a batch moved since the previous task (less-forgetting
    learning, Jung et al. 2016).

    The value is the mean squared distance between old and new features, divided by the variance of
    the old features.

    Args:
        features: Features of a batch.
        before: Features of the same images, from the previous task's extractor.
    """
    # If this worker's share of the batch is a single image, the old features have no variance.
    # Their squared length is used instead.
    variance = before.var(dim=0).sum() if len(before) > 1 else before.square().sum()
    moved: Float[Tensor, ""] = (features - before).square().sum(dim=1).mean()
    return moved / variance.clamp_min(torch.finfo(before.dtype).tiny)


def transfer_loss(
    student_logits: Float[Tensor, "n classes"],
    teacher_logits: Float[Tensor, "n classes"],
    labels: Int64[Tensor, " n"],
    ratio: float | Float[Tensor, " n"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the divergence of the student's distribution from the transfer target (patent A,
    second half of claim 8; patent B, step 6).

    The target mixes the teacher's distribution with the labels, so the loss mixes two terms. The
    teacher's term is the KL divergence of the softened distributions, multiplied by temperature².
    The labels' term is the cross-entropy at temperature 1. If the temperature is 1, the loss is the
    KL divergence from `transfer_target` up to a constant, which has no gradient.

    Args:
        student_logits: The student's logits of a batch.
        teacher_logits: The teacher's logits of the same images.
        labels: Labels of the images, the real answers.
        ratio: TSSR, one value for the batch or one for each sample.
        temperature: Temperature that softens both distributions in the teacher's term.
    """
    soft = functional.kl_div(
        functional.log_softmax(student_logits / temperature, dim=1),
        soften(teacher_logits, temperature),
        reduction="none",
    ).sum(dim=1)
    real = functional.cross_entropy(student_logits, labels, reduction="none")
    mixed: Float[Tensor, ""] = (ratio * temperature**2 * soft + (1 - ratio) * real).mean()
    return mixed
