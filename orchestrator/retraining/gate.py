"""The gate decides whether a candidate becomes the champion, by held-out images that no model
learned from.

Each bound is tested at a confidence level, as in ease.ml/ci (Renggli et al., SysML 2019). The
candidate classifies the images of the champion's classes twice. If the candidate chooses among
these classes, its accuracy shows forgetting. If it chooses among all classes, its predictions show
how many images are now assigned to new classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from orchestrator.config.gate import GateConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.retraining.class_accuracies import ClassAccuracies, class_accuracies
from orchestrator.retraining.conditions import (
    Condition,
    ConditionVerdict,
    Judge,
    exact,
    percent,
)
from orchestrator.retraining.evidence import Evidence, Move, find_moves
from orchestrator.retraining.gate_power import images_to_decide
from orchestrator.retraining.mistakes import mistakes_in_words
from orchestrator.retraining.statements import Difference, Share, Shortfall

_MOST_MOVES = 20
_NEW_ACCURACY = "new_accuracy"


class Verdict(StrEnum):
    """Verdicts on a candidate.

    PROMOTE makes the candidate the champion. REJECT discards the candidate. HOLD keeps the
    candidate until more held-out images have arrived. ASK leaves the decision to a person.
    """

    PROMOTE = "promote"
    REJECT = "reject"
    HOLD = "hold"
    ASK = "ask"


@dataclass(frozen=True)
class PromotionDecision:
    """Decision whether a candidate becomes the champion, with the reasons for it.

    Attributes:
        verdict: The verdict on the candidate.
        reason: The reason for the verdict, as one sentence.
        conditions: All tested conditions.
        blames_data: Whether wrong labels are a likely reason for the rejection, because the
            candidate misses the minimum accuracy on the new classes.
        moves: Images of the champion's classes that the student assigns to new classes.
        advice: Advice for a person; empty for none.
        class_accuracies: The candidate's accuracy on each class if it chooses among all classes.
    """

    verdict: Verdict
    reason: str
    conditions: Sequence[Condition] = ()
    blames_data: bool = False
    moves: Sequence[Move] = ()
    advice: str = ""
    class_accuracies: ClassAccuracies = field(default_factory=ClassAccuracies)

    @property
    def promote(self) -> bool:
        """Return whether the candidate becomes the champion."""
        return self.verdict == Verdict.PROMOTE


def decide(evidence: Evidence, gate: GateConfig, attempts: int = 1) -> PromotionDecision:
    """Decide whether a candidate becomes the champion, by the conditions of the gate.

    Args:
        evidence: Predictions of candidate and champion for the same held-out images.
        gate: Bounds and confidence level of the conditions.
        attempts: Number of gate verdicts since the last final decision, including this verdict.
            More verdicts make each test stricter, because each is another chance to pass by luck.
    """
    by_class = class_accuracies(
        evidence.labels.tolist(),
        {role: own.among_all.tolist() for role, own in evidence.predictions.items()},
    )
    moves = find_moves(evidence, "student")[:_MOST_MOVES]
    evidence = _least_used(evidence, gate)
    judge = Judge((1 - gate.confidence) / (evidence.uses + attempts - 1))
    conditions = _conditions(evidence, gate, judge)
    advice = ""
    if evidence.uses > gate.shelf_life:
        advice = (
            f"the held-out images were used in {evidence.uses:.0f} verdicts; after"
            f" {gate.shelf_life} they say little about future images: collect new ones of the"
            " known classes"
        )

    def decided(verdict: Verdict, reason: str, *, blames_data: bool = False) -> PromotionDecision:
        return PromotionDecision(verdict, reason, conditions, blames_data, moves, advice, by_class)

    violated = [it for it in conditions if it.verdict == ConditionVerdict.VIOLATED]
    if violated:
        blames_data = any(condition.key.endswith(_NEW_ACCURACY) for condition in violated)
        reason = "; ".join(map(str, violated)) + mistakes_in_words(evidence)
        return decided(Verdict.REJECT, reason, blames_data=blames_data)
    unknown = [it for it in conditions if it.verdict == ConditionVerdict.UNKNOWN]
    if not unknown:
        num = sum(condition.bound is not None for condition in conditions)
        return decided(Verdict.PROMOTE, f"all {num} conditions are met")
    if gate.inconclusive is None:
        return decided(*_by_what_would_be_lost(evidence, judge, unknown))
    return decided(Verdict(gate.inconclusive), _unknown_reason(unknown, evidence))


def _least_used(evidence: Evidence, gate: GateConfig) -> Evidence:
    """Return the evidence from images that no earlier verdict used, or all evidence if these images
    are too few or lack a class.

    The choice does not depend on the predictions, so it cannot bias the verdict.
    """
    new = evidence.only_new()
    complete = np.array_equal(np.unique(new.labels), np.unique(evidence.labels))
    enough = not evidence.num_old or new.is_old.sum() >= images_to_decide(gate)
    return new if complete and enough else evidence


def _by_what_would_be_lost(
    evidence: Evidence, judge: Judge, unknown: Sequence[Condition]
) -> tuple[Verdict, str]:
    """Return PROMOTE if the candidate is more accurate than the champion over all classes, or if
    there is no champion; otherwise return HOLD.

    The champion misclassifies every image of a new class, so even a candidate that learned wrong
    labels can be more accurate over all classes. Therefore return HOLD, too, if the candidate's
    measured accuracy on new classes is below the required minimum.
    """
    reason = _unknown_reason(unknown, evidence)
    if not evidence.num_old:
        return Verdict.PROMOTE, f"{reason}; the candidate is promoted: there is no champion yet"
    if any(it.key.endswith(_NEW_ACCURACY) and it.seems_violated for it in unknown):
        return (
            Verdict.HOLD,
            f"{reason}; the candidate is held: it seems to miss the minimum on the new classes",
        )
    gains = []
    for role in ROLES:
        own, is_old = evidence.predictions[role], evidence.is_old
        champion = np.zeros(len(evidence.labels), dtype=np.bool_)
        champion[is_old] = own.champion == evidence.labels[is_old]
        difference = Difference.of(own.among_all == evidence.labels, champion, evidence.labels)
        gains.append(difference.bounds(judge.risk))
    if all(gain.lower > 0 for gain in gains):
        least = min(gain.lower for gain in gains)
        what = (
            f"{reason}; the candidate is promoted, because over all classes it is better than"
            f" the champion by {percent(gains[-1].value)} (at least {percent(least)})"
        )
        return Verdict.PROMOTE, what
    return Verdict.HOLD, reason


def _unknown_reason(unknown: Sequence[Condition], evidence: Evidence) -> str:
    more = [condition.more_images for condition in unknown]
    wanted = (
        "the number of further images needed to decide is unknown"
        if None in more
        else f"about {max(it for it in more if it is not None):,} more are needed to decide"
    )
    conditions = "; ".join(map(str, unknown))
    return f"not enough held-out images, {wanted}: {conditions}{mistakes_in_words(evidence)}"


def _conditions(evidence: Evidence, gate: GateConfig, judge: Judge) -> list[Condition]:
    conditions: list[Condition] = []
    for role in ROLES:
        if evidence.is_old.any():
            conditions += _about_old_classes(evidence, role, gate, judge)
        conditions += _about_new_classes(evidence, role, gate, judge)
        conditions += _about_forgetting(evidence, role, gate, judge)
    teacher, student = (evidence.predictions[role].among_all for role in ROLES)
    every = np.zeros(len(evidence.labels), dtype=np.int64)
    largest = None if gate.max_student_parameters is None else float(gate.max_student_parameters)
    return [
        *conditions,
        judge.at_least(
            "agreement of student and teacher",
            "agreement",
            Share.of(teacher == student, every),
            gate.min_agreement,
            len(every),
        ),
        exact(
            "student: parameters",
            "student_parameters",
            float(evidence.student_parameters),
            largest,
            is_upper=True,
        ),
        exact(
            "student: milliseconds for one image",
            "student_latency_ms",
            evidence.student_latency_ms,
            gate.max_student_latency_ms,
            is_upper=True,
        ),
    ]


def _about_old_classes(
    evidence: Evidence, role: Role, gate: GateConfig, judge: Judge
) -> list[Condition]:
    own, labels = evidence.predictions[role], evidence.labels[evidence.is_old]
    champion, kept = own.champion == labels, own.among_old == labels
    among_all = own.among_all[evidence.is_old] == labels
    was = percent(Share.of(champion, labels).rate)
    return [
        judge.at_least(
            f"{role}: accuracy change among the champion's classes (the champion has {was})",
            f"{role}_old_accuracy_change",
            Difference.of(kept, champion, labels),
            -gate.margin,
            len(labels),
        ),
        judge.at_most(
            f"{role}: images of the champion's classes that are predicted as new classes",
            f"{role}_taken",
            Share.of(kept & ~among_all, labels),
            gate.max_taken,
            len(labels),
        ),
        _about_single_classes(evidence, role, gate, judge),
    ]


def _about_single_classes(
    evidence: Evidence, role: Role, gate: GateConfig, judge: Judge
) -> Condition:
    """Return the condition on the single class whose accuracy drops most. Each of the champion's
    classes is tested with an equal part of the allowed error probability.
    """
    own, labels = evidence.predictions[role], evidence.labels[evidence.is_old]
    champion, among_all = own.champion == labels, own.among_all[evidence.is_old] == labels
    classes = np.unique(labels)
    drops = {}
    for label in classes.tolist():
        chosen = labels == label
        drop = Difference.of(champion[chosen], among_all[chosen], labels[chosen])
        drops[label] = drop.bounds(judge.risk / len(classes))
    bound = gate.max_class_drop
    proven = {it: drop for it, drop in drops.items() if bound is not None and drop.lower > bound}
    worst = max(proven or drops, key=lambda it: drops[it].value)
    found = drops[worst]
    if bound is None:
        verdict = ConditionVerdict.REPORTED
    elif proven:
        verdict = ConditionVerdict.VIOLATED
    else:  # with few images per class no test can exclude a drop, so the measured drop decides
        verdict = ConditionVerdict.MET if found.value <= bound else ConditionVerdict.UNKNOWN
    return Condition(
        f"{role}: largest loss of a class ({evidence.known.class_names[worst]})",
        f"{role}_class_drop",
        found.value,
        bound,
        verdict,
        is_upper=True,
        lower=found.lower,
        upper=found.upper,
        num_images=int((labels == worst).sum()),
    )


def _about_new_classes(
    evidence: Evidence, role: Role, gate: GateConfig, judge: Judge
) -> list[Condition]:
    new = ~evidence.is_old
    if not new.any():
        return []
    labels, chosen = evidence.labels[new], evidence.predictions[role].among_all[new]
    name, share = f"{role}: accuracy on the new classes", Share.of(chosen == labels, labels)
    key = f"{role}_{_NEW_ACCURACY}"
    return [judge.at_least(name, key, share, gate.min_new_accuracy, len(labels))]


def _about_forgetting(
    evidence: Evidence, role: Role, gate: GateConfig, judge: Judge
) -> list[Condition]:
    """Return the condition on forgetting; accuracies before forgetting count as exact values."""
    name, key = f"{role}: forgetting", f"{role}_forgetting"
    left = evidence.kept_of_earlier(role)
    if left is None:
        return []
    shortfall = Shortfall(evidence.known.forgetting[role] + left.rate, left)
    num_images = int(evidence.is_earlier.sum())
    return [judge.at_most(name, key, shortfall, gate.max_forgetting, num_images)]
