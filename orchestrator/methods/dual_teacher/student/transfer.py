"""Steps 1 to 6 of patent B (see docs/method.md), computed on tensors: softened class distributions,
their similarity KDR, the transfer ratio TSSR, and the target. The target mixes the teacher's
distribution (share TSSR) with the one-hot label (share 1 - TSSR), the patent's "real answer".

KDR is computed for each sample; the KDR of a batch is the mean of its samples. The rules that
select TSSR are in `config.transfer`. `transfer_targets` performs steps 3 to 6 at once for learning
in closed form, where all images are one batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple, assert_never

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from orchestrator.config.transfer import Similarity, TransferRule

Distribution = Float[Tensor, "n classes"]
Labels = Int64[Tensor, " n"]
PerSample = Float[Tensor, " n"]


class TransferTargets(NamedTuple):
    """Targets of the samples, and the values from which the targets were computed.

    Attributes:
        targets: `TSSR · STK + (1 - TSSR) · EK`, with STK the teacher's distribution and EK the
            one-hot real answer; each row adds up to 1.
        kdr: Similarity KDR of each sample, in [0, 1].
        tssr: Transfer ratio TSSR of each sample, in [0, 1].
    """

    targets: Distribution
    kdr: PerSample
    tssr: PerSample


def soften(logits: Distribution, temperature: float) -> Distribution:
    """Return `softmax(logits / temperature)` (patent B, steps 1 and 2). The result is called STK
    for the teacher's logits and P for the student's logits.
    """
    return functional.softmax(logits / temperature, dim=1)


def kdr(
    student: Distribution, teacher: Distribution, labels: Labels, similarity: Similarity
) -> PerSample:
    """Return the similarity KDR of each sample, in [0, 1] (patent B, step 3).

    Args:
        student: P, the student's distributions; each row adds up to 1.
        teacher: STK, the teacher's distributions; each row adds up to 1.
        labels: The given labels.
        similarity: `jensen_shannon` is 1 - JS divergence / ln 2 of P and STK; `cosine` is the
            cosine of the angle between P and STK. `answer` compares STK with the label instead of
            P: the similarity is the teacher's probability of the label.
    """
    match similarity:
        case "jensen_shannon":
            mixture = (student + teacher) / 2
            divergence = (
                _relative_entropy(student, mixture) + _relative_entropy(teacher, mixture)
            ) / 2
            similarities = 1 - divergence / math.log(2)
        case "cosine":
            similarities = functional.cosine_similarity(student, teacher, dim=1)
        case "answer":
            similarities = teacher.gather(1, labels[:, None])[:, 0]
        case _:
            assert_never(similarity)
    # a diverged student's NaN counts as similarity 0; the epoch loop reports the divergence
    return similarities.nan_to_num(0.0).clamp(0, 1)


def _relative_entropy(p: Distribution, q: Distribution) -> PerSample:
    """Return the KL divergence of each row of p from q, in nats; 0 log 0 counts as 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=1)


def transfer_ratios(similarities: PerSample, rule: TransferRule, tstr: float) -> PerSample:
    """Return the transfer ratio TSSR of each sample (patent B, step 5). A rule for whole batches
    gives all samples the same ratio.

    Args:
        similarities: KDR of each sample; at least one sample.
        rule: Rule that selects TSSR.
        tstr: Training progress, in [0, 1].

    Raises:
        ConfigError: An extension's rule returned no number in [0, 1].
    """
    if rule.is_per_sample:
        return similarities.new_tensor(rule.tssr_of_samples(similarities.tolist(), tstr))
    return torch.full_like(similarities, rule.checked_tssr(float(similarities.mean()), tstr))


def transfer_target(
    teacher: Distribution, labels: Labels, ratio: float | PerSample
) -> Distribution:
    """Return `TSSR · STK + (1 - TSSR) · EK`, where EK is the one-hot label (patent B, step 6).

    Args:
        teacher: STK, each row adds up to 1.
        labels: The given labels.
        ratio: TSSR, one value for all samples or one for each.
    """
    answers = functional.one_hot(labels, teacher.shape[1]).to(teacher.dtype)
    shares = ratio[:, None] if isinstance(ratio, Tensor) else ratio
    return shares * teacher + (1 - shares) * answers


def transfer_targets(
    student: Distribution, teacher: Distribution, labels: Labels, rule: TransferRule, tstr: float
) -> TransferTargets:
    """Return the target of each sample, with its KDR and TSSR (patent B, steps 3 to 6).

    Args:
        student: P, the student's distributions; each row adds up to 1. Not used if the rule's
            similarity is `answer`.
        teacher: STK, the teacher's distributions over the same classes; each row adds up to 1.
        labels: The given labels.
        rule: Rule that defines the similarity and selects TSSR.
        tstr: Training progress, in [0, 1].

    Raises:
        ConfigError: An extension's rule returned no number in [0, 1].
    """
    similarities = kdr(student, teacher, labels, rule.similarity)
    ratios = transfer_ratios(similarities, rule, tstr)
    return TransferTargets(transfer_target(teacher, labels, ratios), similarities, ratios)
