"""The gate: what a candidate must show on images that no model has learned from, each condition
with its value, bound and verdict.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Int64
from torch import Tensor

from orchestrator.config.retraining import GateConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.evaluation.classification import agreement
from orchestrator.models import AnyNetwork
from orchestrator.models.network import predict

_TIMED_IMAGES = 40
_WARM_UP_IMAGES = 10


@dataclass(frozen=True)
class Condition:
    """One condition of the gate.

    Attributes:
        name: What is measured, in words.
        key: The same, for tags.
        value: Measured; a fraction unless the name says otherwise.
        bound: What it is held against; None where it is only reported.
        is_upper: Whether the bound is the most, instead of the least, that is allowed.
    """

    name: str
    key: str
    value: float
    bound: float | None
    is_upper: bool = False

    @property
    def is_met(self) -> bool:
        """The verdict."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.is_upper else self.value >= self.bound

    def __str__(self) -> str:
        bound = (
            ""
            if self.bound is None
            else f", {'at most' if self.is_upper else 'at least'} {number(self.bound)}"
        )
        return f"{self.name} {number(self.value)}{bound}"


def number(value: float) -> str:
    """A measured value for people: counts as they are, all else to four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


class Verdict(StrEnum):
    """What becomes of a candidate.

    PROMOTE makes it the champion, REJECT keeps the champion for good, HOLD keeps the candidate
    until more held-out images have arrived, ASK leaves the decision to a person.
    """

    PROMOTE = "promote"
    REJECT = "reject"
    HOLD = "hold"
    ASK = "ask"


@dataclass(frozen=True)
class PromotionDecision:
    """A verdict with its reasons.

    Attributes:
        verdict: What becomes of the candidate.
        reason: In a sentence.
        conditions: All that were looked at.
    """

    verdict: Verdict
    reason: str
    conditions: Sequence[Condition] = ()

    @property
    def promote(self) -> bool:
        """Whether the candidate becomes the champion."""
        return self.verdict == Verdict.PROMOTE


@dataclass(frozen=True)
class Measured:
    """What the gate goes by.

    Attributes:
        old_accuracy: Of the candidate on the champion's classes, by role; empty without a champion.
        champion_accuracy: Of the champion on the same images, by role.
        new_accuracy: Of the candidate on the new classes, among all classes, by role; empty where
            there are none.
        forgetting: Of the candidate over all tasks, by role.
        agreement: Share of all held-out images on which candidate's student and teacher agree.
        student_parameters: Numbers in the candidate's student.
        student_latency_ms: Median time of its student for one image on one CPU thread.
    """

    old_accuracy: dict[Role, float]
    champion_accuracy: dict[Role, float]
    new_accuracy: dict[Role, float]
    forgetting: dict[Role, float]
    agreement: float
    student_parameters: int
    student_latency_ms: float


def decide(measured: Measured, gate: GateConfig) -> PromotionDecision:
    """Holds what was measured against the bounds."""
    conditions: list[Condition] = []
    largest = None if gate.max_student_parameters is None else float(gate.max_student_parameters)
    for role in ROLES:
        if role in measured.old_accuracy:
            bound = measured.champion_accuracy[role] - gate.old_accuracy_tolerance
            name = (
                f"{role}: accuracy on the champion's classes (the champion's own is"
                f" {measured.champion_accuracy[role]:.4g})"
            )
            conditions.append(
                Condition(name, f"{role}_old_accuracy", measured.old_accuracy[role], bound)
            )
        if role in measured.new_accuracy:
            name = f"{role}: accuracy on the new classes"
            conditions.append(
                Condition(
                    name, f"{role}_new_accuracy", measured.new_accuracy[role], gate.min_new_accuracy
                )
            )
        name = f"{role}: forgetting"
        conditions.append(
            Condition(
                name,
                f"{role}_forgetting",
                measured.forgetting[role],
                gate.max_forgetting,
                is_upper=True,
            )
        )
    conditions += [
        Condition(
            "agreement of student and teacher", "agreement", measured.agreement, gate.min_agreement
        ),
        Condition(
            "student: parameters",
            "student_parameters",
            float(measured.student_parameters),
            largest,
            is_upper=True,
        ),
        Condition(
            "student: milliseconds for one image",
            "student_latency_ms",
            measured.student_latency_ms,
            gate.max_student_latency_ms,
            True,
        ),
    ]
    failed = [condition for condition in conditions if not condition.is_met]
    if failed:
        return PromotionDecision(
            Verdict.REJECT, "; ".join(str(condition) for condition in failed), conditions
        )
    return PromotionDecision(
        Verdict.PROMOTE,
        f"all {sum(condition.bound is not None for condition in conditions)} conditions are met",
        conditions,
    )


def measure(
    candidate: dict[Role, AnyNetwork],
    champion: dict[Role, AnyNetwork],
    held_out: LabeledImages,
    num_old_classes: int,
    forgetting: dict[Role, float],
) -> Measured:
    """Tests candidate and champion on the same images.

    Args:
        candidate: Its networks, on the CPU.
        champion: Its networks; empty without one.
        held_out: Images of all classes, in the order of learning; the champion's classes come
            first.
        num_old_classes: How many the champion knows.
        forgetting: Of the candidate.
    """
    old = held_out.labels < num_old_classes
    new = ~old
    predictions = {
        role: predict(network, held_out.images).argmax(dim=1) for role, network in candidate.items()
    }
    of_champion = {
        role: predict(network, held_out.images[old]).argmax(dim=1)
        for role, network in champion.items()
    }
    return Measured(
        old_accuracy={
            role: class_mean_accuracy(predictions[role][old], held_out.labels[old])
            for role in champion
        },
        champion_accuracy={
            role: class_mean_accuracy(found, held_out.labels[old])
            for role, found in of_champion.items()
        },
        new_accuracy={
            role: class_mean_accuracy(found[new], held_out.labels[new])
            for role, found in predictions.items()
            if new.any()
        },
        forgetting=forgetting,
        agreement=agreement(predictions["teacher"], predictions["student"]),
        student_parameters=candidate["student"].num_parameters(),
        student_latency_ms=latency_ms(candidate["student"], held_out.images),
    )


def class_mean_accuracy(predictions: Int64[Tensor, " n"], labels: Int64[Tensor, " n"]) -> float:
    """Mean over the classes of the share that is predicted right: every class weighs the same,
    however many images it has.
    """
    correct = (predictions == labels).double()
    return statistics.fmean(correct[labels == label].mean().item() for label in labels.unique())


def latency_ms(network: AnyNetwork, images: Tensor) -> float:
    """Median milliseconds for one image on one CPU thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = []
    try:
        with torch.inference_mode():
            for turn in range(_WARM_UP_IMAGES + _TIMED_IMAGES):
                started = time.perf_counter()
                network(images[turn % len(images)][None])
                seconds.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return 1000 * statistics.median(seconds[_WARM_UP_IMAGES:])
