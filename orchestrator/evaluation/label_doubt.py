"""Measure how much teacher and student doubt the labels of training images.

The doubt of a label is `1 - (p + q) / 2`. Here, p and q are the calibrated probabilities
(`calibration`) that teacher and student give to the label. The table shows the share of wrong
labels among the 5 % most doubted labels. In the last three columns, only the teacher doubts, only
the student doubts, or probabilities are not calibrated. The shares were measured on 10,000 images
of CIFAR-10, with two draws of wrong labels. The teacher is a discriminant on all stages of a
backbone, and the student is a discriminant on the first four stages.

| wrong labels | both models | teacher alone | student alone | uncalibrated |
|---|---|---|---|---|
| 20 % | 99.8 % | 99.6 % | 98.4 % | 99.7 % |
| 5 % | 79.7 % | 80.0 % | 67.9 % | 76.4 % |

The models of the last task are used, because only these models can predict all classes. An image of
an early task may belong to a class that arrives later, which the models of the early task cannot
recognise. If each image is judged by the models of its own task, the shares (uncalibrated, three
draws) are only 98.5 % and 60 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.evaluation.calibration import likeliest_factor

LISTED_SHARE = 0.05
"""Maximum share of all labels in a list of doubted labels. In a small data set, a list may contain
up to `LEAST_LISTED` labels even if their share is larger.
"""
LEAST_LISTED = 100


@dataclass(frozen=True)
class LabelBeliefs:
    """Beliefs of a model about the given labels of images: the probability of each label, and the
    class that the model predicts.

    Attributes:
        believed: Probability of each image's given label according to the model, in [0, 1].
        answers: The most probable class of each image.
    """

    believed: Float[Tensor, " n"]
    answers: Int64[Tensor, " n"]


@dataclass(frozen=True)
class DoubtedLabels:
    """The most doubted labels: the given labels that teacher and student find least probable. A
    model contradicts a label if the model predicts another class.

    Attributes:
        positions: Positions of the most doubted labels among all judged labels, the most doubted
            label first.
        doubts: Doubts of these labels, in descending order. A doubt is 1 minus the mean of both
            models' probabilities of the label.
        num_judged: Number of judged labels, one per image.
        num_contradicted: Number of labels that the teacher or the student contradicts.
        num_contradicted_by_both: Number of labels that both teacher and student contradict.
    """

    positions: Int64[Tensor, " k"]
    doubts: Float[Tensor, " k"]
    num_judged: int
    num_contradicted: int
    num_contradicted_by_both: int


def beliefs_of(
    likelihoods: Float[Tensor, "n factors"], answers: Int64[Tensor, " n"]
) -> LabelBeliefs:
    """Return the beliefs of a model about given labels: the probability of each label, and the
    class that the model predicts. The probabilities are calibrated with these labels.

    Args:
        likelihoods: Result of `calibration.log_likelihoods` for the labels.
        answers: The most probable class of each image.
    """
    column, _ = likeliest_factor(likelihoods)
    return LabelBeliefs(likelihoods[:, column].exp(), answers)


def doubts_of(teacher: LabelBeliefs, student: LabelBeliefs) -> Float[Tensor, " n"]:
    """Return the doubt of each given label, in [0, 1]. The doubt is 1 minus the mean of the label's
    probabilities according to teacher and student.
    """
    return 1 - (teacher.believed + student.believed) / 2


def most_doubted(
    teacher: LabelBeliefs, student: LabelBeliefs, labels: Int64[Tensor, " n"]
) -> DoubtedLabels:
    """Return the most doubted labels: the given labels that teacher and student find least
    probable. Only labels that the teacher or the student contradicts, by predicting another class,
    are returned. The result has at most 5 % of all labels, or at most 100 labels if 5 % are fewer
    than 100.

    A label that both models predict is never returned, even if its probability is small.

    Args:
        teacher: Beliefs of the teacher: label probabilities and predicted classes.
        student: Beliefs of the student about the same labels.
        labels: The given labels.
    """
    by_teacher, by_student = teacher.answers != labels, student.answers != labels
    contradicted = (by_teacher | by_student).nonzero()[:, 0]
    most = max(LEAST_LISTED, math.ceil(LISTED_SHARE * len(labels)))
    doubts = doubts_of(teacher, student)[contradicted]
    order = doubts.argsort(descending=True, stable=True)[:most]
    return DoubtedLabels(
        contradicted[order],
        doubts[order],
        len(labels),
        len(contradicted),
        int((by_teacher & by_student).sum()),
    )
