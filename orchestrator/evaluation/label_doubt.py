"""Measure how much teacher and student doubt the labels of training images.

The doubt of a label is `1 - (p + q) / 2`, with p and q the probabilities that teacher and student
give it, calibrated (`calibration`). Measured on 10,000 images of CIFAR-10, with discriminants on
all stages as the teacher and on the first four as the student, two draws of wrong labels:

| wrong labels | wrong among the 5 % most doubted | teacher alone | student alone | uncalibrated |
|---|---|---|---|---|
| 20 % | 99.8 % | 99.6 % | 98.4 % | 99.7 % |
| 5 % | 79.7 % | 80.0 % | 67.9 % | 76.4 % |

The models of the last task judge, because they know all classes. A label of an early task can
belong to a class that came later, and the models of its own task cannot say so: they find 98.5 %
and 60 % (uncalibrated, three draws).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.evaluation.calibration import likeliest_factor

LISTED_SHARE = 0.05
"""Share of all labels that a list of doubted ones has at most, where that is more than
`LEAST_LISTED`."""
LEAST_LISTED = 100


@dataclass(frozen=True)
class LabelBeliefs:
    """Hold what a model makes of images whose labels are given.

    Attributes:
        believed: Probability of the given label, in [0, 1].
        answers: The most probable class.
    """

    believed: Float[Tensor, " n"]
    answers: Int64[Tensor, " n"]


@dataclass(frozen=True)
class DoubtedLabels:
    """The labels that are doubted most.

    Attributes:
        positions: Of the images among those that were judged, the most doubted one first.
        doubts: Their doubts, in [0, 1], falling.
        num_judged: Images that were judged.
        num_contradicted: Labels of images to which teacher or student gives another class.
        num_contradicted_by_both: Labels of images to which both give another class.
    """

    positions: Int64[Tensor, " k"]
    doubts: Float[Tensor, " k"]
    num_judged: int
    num_contradicted: int
    num_contradicted_by_both: int


def beliefs_of(
    likelihoods: Float[Tensor, "n factors"], answers: Int64[Tensor, " n"]
) -> LabelBeliefs:
    """Return what a model makes of labels, in probabilities that fit these labels best.

    Args:
        likelihoods: Of the labels, as `calibration.log_likelihoods` returns them.
        answers: The most probable class of each image.
    """
    column, _ = likeliest_factor(likelihoods)
    return LabelBeliefs(likelihoods[:, column].exp(), answers)


def doubts_of(teacher: LabelBeliefs, student: LabelBeliefs) -> Float[Tensor, " n"]:
    """Return the doubt of each label, in [0, 1]."""
    return 1 - (teacher.believed + student.believed) / 2


def most_doubted(
    teacher: LabelBeliefs, student: LabelBeliefs, labels: Int64[Tensor, " n"]
) -> DoubtedLabels:
    """Return the contradicted labels that are doubted most: up to 5 % of all, or up to 100.

    A label that is the most probable class of teacher and student is not listed, however small its
    probability.

    Args:
        teacher: What the teacher makes of the images.
        student: What the student makes of the same images.
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
