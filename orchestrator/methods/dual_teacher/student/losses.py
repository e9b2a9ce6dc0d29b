"""The two distillation losses, of embeddings and of classes [A claim 8; §52, §71; B step 6], and
the stability loss.
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
    embeddings, in [0, 4] [A claim 8, first half].
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
    """Return how far features moved since the previous task: the mean squared distance, in units of
    the features' variance (less-forgetting learning, Jung et al. 2016).

    Args:
        features: Features of a batch.
        before: Features of the same images, from the previous task's extractor.
    """
    # a worker's share of the batch may be one image, which has no variance
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
    """Return the divergence of the student's distribution from the transfer target [A claim 8,
    second half; B step 6].

    The cross-entropy from a mixed target is the mix of the cross-entropies. The part of the teacher
    and the part of the labels can therefore each have their usual scale: the teacher's part uses
    the temperature and a factor temperature², the labels' part uses temperature 1. At temperature 1
    the value is the KL divergence from `transfer_target` up to the teacher's entropy, which has no
    gradient.

    Args:
        student_logits: The student's logits of a batch.
        teacher_logits: The teacher's logits of the same images.
        labels: Labels of the images, the real answers.
        ratio: TSSR, one value for the batch or one for each sample.
        temperature: Temperature that softens the distributions of student and teacher in the
            teacher's part.
    """
    soft = functional.kl_div(
        functional.log_softmax(student_logits / temperature, dim=1),
        soften(teacher_logits, temperature),
        reduction="none",
    ).sum(dim=1)
    real = functional.cross_entropy(student_logits, labels, reduction="none")
    mixed: Float[Tensor, ""] = (ratio * temperature**2 * soft + (1 - ratio) * real).mean()
    return mixed
