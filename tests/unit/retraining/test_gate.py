"""The gate's verdicts on constructed predictions of candidate and champion."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.config.gate import GateConfig
from orchestrator.config.roles import ROLES
from orchestrator.retraining.conditions import Condition, ConditionVerdict
from orchestrator.retraining.evidence import Evidence, KnownTasks, Move, Predictions
from orchestrator.retraining.gate import Verdict, decide

NAMES = ("ant", "bee", "cat", "dog")
TASKS = (range(2), range(2, 4))
NUM_OLD = 2
GATE = GateConfig()


def answers(labels: npt.NDArray[np.int64], wrong: Mapping[int, int]) -> npt.NDArray[np.int64]:
    """Return correct predictions, except that some images of a class get the next of four
    classes.
    """
    found = labels.copy()
    for label, num in wrong.items():
        rows = np.flatnonzero(labels == label)[:num]
        found[rows] = (label + 1) % len(NAMES)
    return found


def evidence(
    per_class: int = 500,
    forgotten: int = 0,
    taken: int = 0,
    new_wrong: int = 0,
    champion_wrong: int = 0,
) -> Evidence:
    """Return evidence that is equal for both roles.

    Args:
        per_class: Held-out images of each of the four classes.
        forgotten: Images of ant for which the candidate predicts bee.
        taken: Further images, of bee, for which it predicts cat, a new class.
        new_wrong: Images of dog for which it predicts ant.
        champion_wrong: Last images of ant, for which the champion predicts bee.
    """
    labels = np.repeat(np.arange(4), per_class)
    among_all = answers(labels, {0: forgotten, 1: taken, 3: new_wrong})
    old = labels[labels < NUM_OLD]
    champion = old.copy()
    champion[per_class - champion_wrong : per_class] = 1
    own = Predictions(among_all, answers(old, {0: forgotten}), champion)
    known = KnownTasks(NAMES, TASKS, dict.fromkeys(ROLES, 0.01))
    return Evidence(labels, NUM_OLD, known, dict.fromkeys(ROLES, own), 1000, 1.0)


def condition(found: Evidence, key: str, gate: GateConfig = GATE) -> Condition:
    """Return one condition of a decision."""
    return next(it for it in decide(found, gate).conditions if it.key == key)


def test_a_candidate_that_meets_every_condition_is_promoted() -> None:
    decision = decide(evidence(), GATE)
    assert decision.verdict == Verdict.PROMOTE
    assert decision.reason == "all 11 conditions are met"


def test_a_decision_has_the_accuracy_of_every_class() -> None:
    found = decide(evidence(per_class=10, forgotten=3, new_wrong=4), GATE).class_accuracies
    assert [*found.num_images] == [10] * 4
    assert [*found.num_correct["student"]] == [7, 10, 10, 6]


@pytest.mark.parametrize(
    ("what", "key"),
    [
        ({"forgotten": 60}, "old_accuracy_change"),
        ({"taken": 150}, "taken"),
        ({"taken": 250}, "class_drop"),
        ({"new_wrong": 500, "per_class": 500}, "new_accuracy"),
    ],
)
def test_a_proven_violation_rejects_and_is_named(what: dict[str, int], key: str) -> None:
    gate = GateConfig(min_new_accuracy=0.7)
    decision = decide(evidence(**what), gate)
    assert decision.verdict == Verdict.REJECT
    violated = [it for it in decision.conditions if it.verdict == ConditionVerdict.VIOLATED]
    assert f"student_{key}" in {it.key for it in violated}
    assert decision.reason.startswith("; ".join(map(str, violated)) + "; the student mistakes ")


def test_a_reason_names_the_confusions_by_their_share_of_a_class() -> None:
    gate = GateConfig(min_new_accuracy=0.7)
    reason = decide(evidence(forgotten=60, taken=150, new_wrong=400, champion_wrong=5), gate).reason
    assert reason.endswith(
        "; the student mistakes dog for ant (400 of 500), bee for cat (150 of 500), ant for bee (60"
        " of 500, by the champion 5)"
    )
    undecided = decide(evidence(50, taken=1), GateConfig(inconclusive="ask")).reason
    assert undecided.endswith("; the student mistakes bee for cat (1 of 50)")


def test_only_unrecognised_new_classes_blame_the_data() -> None:
    gate = GateConfig(min_new_accuracy=0.7)
    assert decide(evidence(new_wrong=500), gate).blames_data
    assert not decide(evidence(forgotten=60), gate).blames_data


def test_few_images_give_no_verdict_and_many_with_equal_shares_do() -> None:
    """One of 50 images gained and one lost: the models appear equal."""
    few = condition(evidence(50, forgotten=1, champion_wrong=1), "student_old_accuracy_change")
    many = condition(evidence(2000, forgotten=40, champion_wrong=40), few.key)
    assert few.value == many.value == 0
    assert few.verdict == ConditionVerdict.UNKNOWN
    assert many.verdict == ConditionVerdict.MET


def test_the_requested_number_of_additional_images_is_enough_for_a_verdict() -> None:
    few = condition(evidence(50, forgotten=1, champion_wrong=1), "student_old_accuracy_change")
    assert few.more_images is not None
    times = 1 + few.more_images / 100
    per_class = round(50 * times)
    enough = condition(evidence(per_class, round(times), champion_wrong=round(times)), few.key)
    assert enough.verdict == ConditionVerdict.MET


@pytest.mark.parametrize("choice", ["promote", "hold", "ask"])
def test_an_undecided_candidate_gets_the_configured_verdict(choice: str) -> None:
    gate = GateConfig.model_validate({"inconclusive": choice})
    decision = decide(evidence(50, forgotten=1, champion_wrong=1), gate)
    assert decision.verdict == choice
    assert decision.reason.startswith("not enough held-out images, about ")


def test_by_default_an_undecided_candidate_is_promoted_if_its_new_classes_outweigh() -> None:
    decision = decide(evidence(50, forgotten=1, champion_wrong=1), GATE)
    assert decision.verdict == Verdict.PROMOTE
    assert "over all classes it is better than the champion by 50.0 %" in decision.reason


def test_by_default_a_candidate_that_seems_to_miss_the_minimum_on_new_classes_is_held() -> None:
    """Half of an arrival's labels are wrong: by chance the candidate may agree with held-out labels
    so often that the minimum is not ruled out.
    """
    gate = GateConfig(min_new_accuracy=0.6)
    undecided = evidence(20, new_wrong=18, champion_wrong=1)
    found = condition(undecided, "student_new_accuracy", gate)
    assert found.verdict == ConditionVerdict.UNKNOWN
    assert found.seems_violated
    decision = decide(undecided, gate)
    assert decision.verdict == Verdict.HOLD
    assert "held: it seems to miss the minimum on the new classes" in decision.reason


def test_by_default_an_undecided_candidate_without_new_classes_is_held() -> None:
    whole = evidence(50, forgotten=1, champion_wrong=1)
    old = whole.is_old
    own = {role: replace(it, among_all=it.among_all[old]) for role, it in whole.predictions.items()}
    refreshed = replace(
        whole,
        labels=whole.labels[old],
        predictions=own,
        known=KnownTasks(NAMES[:2], [range(2)], dict.fromkeys(ROLES, 0.0)),
    )
    decision = decide(refreshed, GATE)
    assert decision.verdict == Verdict.HOLD
    assert not any(it.key.endswith("new_accuracy") for it in decision.conditions)


def test_a_first_model_is_compared_with_no_champion() -> None:
    whole = evidence(20)
    own = {
        role: replace(it, among_old=it.among_old[:0], champion=None)
        for role, it in whole.predictions.items()
    }
    first = replace(
        whole,
        num_old=0,
        predictions=own,
        known=KnownTasks(NAMES, [range(4)], dict.fromkeys(ROLES, 0.0)),
    )
    decision = decide(first, GATE)
    assert decision.verdict == Verdict.PROMOTE
    assert {it.key for it in decision.conditions} == {
        "teacher_new_accuracy",
        "student_new_accuracy",
        "agreement",
        "student_parameters",
        "student_latency_ms",
    }


def test_forgetting_is_distinguished_from_confusion_with_new_classes() -> None:
    found = evidence(100, forgotten=7, taken=9)
    change, taken = (condition(found, f"student_{it}") for it in ("old_accuracy_change", "taken"))
    assert change.value == pytest.approx(-0.035)
    assert taken.value == pytest.approx(0.045)
    assert decide(found, GATE).moves == [Move("bee", "cat", 9, 100)]


def test_classes_have_equal_weight_whatever_their_number_of_images() -> None:
    labels = np.array([0] * 80 + [1] * 20)
    own = Predictions(np.zeros(100, dtype=np.int64), labels[:0], None)
    known = KnownTasks(NAMES[:2], [range(2)], dict.fromkeys(ROLES, 0.0))
    found = Evidence(labels, 0, known, dict.fromkeys(ROLES, own), 1, 1.0)
    assert condition(found, "student_new_accuracy").value == pytest.approx(0.5)


def test_an_unproven_loss_of_a_class_beyond_the_limit_stays_undecided() -> None:
    drop = condition(evidence(10, taken=4), "student_class_drop")
    assert drop.verdict == ConditionVerdict.UNKNOWN
    assert drop.value == pytest.approx(0.4)
    assert drop.name == "student: largest loss of a class (bee)"
    only_reported = condition(evidence(10, taken=4), drop.key, GateConfig(max_class_drop=None))
    assert only_reported.verdict == ConditionVerdict.REPORTED


def test_each_further_verdict_from_the_same_images_is_stricter() -> None:
    once = condition(evidence(), "student_new_accuracy")
    often = condition(replace(evidence(), looks=np.full(2000, 10)), "student_new_accuracy")
    assert often.lower is not None
    assert once.lower is not None
    assert often.lower < once.lower
    again = decide(evidence(), GATE, attempts=10).conditions
    assert next(it for it in again if it.key == often.key).lower == often.lower


def test_worn_out_images_are_reported() -> None:
    assert not decide(replace(evidence(), looks=np.full(2000, 20)), GATE).advice
    assert "collect new ones" in decide(replace(evidence(), looks=np.full(2000, 21)), GATE).advice


def test_images_without_earlier_verdicts_are_preferred_if_there_are_enough() -> None:
    """The candidate is wrong on the first images of each class, which earlier verdicts used."""
    whole = evidence(1000, forgotten=100)
    looks = np.where(np.arange(4000) % 1000 < 500, 5, 1)
    judged = condition(replace(whole, looks=looks), "student_old_accuracy_change")
    assert (judged.value, judged.num_images) == (0, 1000)
    forgotten = condition(replace(whole, looks=looks), "student_forgetting")
    assert forgotten.value == pytest.approx(0.01 - 0.05), "5 % are wrong of all, none of the new"
    assert forgotten.num_images == 1000
    recorded = decide(replace(whole, looks=looks), GATE).class_accuracies
    assert recorded.accuracy("student", 0) == 0.9, "accuracies by class are of all images"
    too_few = np.where(np.arange(4000) % 1000 < 990, 5, 1)
    judged = condition(replace(whole, looks=too_few), "student_old_accuracy_change")
    assert judged.value == pytest.approx(-0.05)
    assert judged.num_images == 2000


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_student_parameters": 999}, "student: parameters 1,000, at most 999"),
        ({"max_student_latency_ms": 0.5}, "student: milliseconds for one image 1, at most 0.5"),
    ],
)
def test_size_and_latency_are_exact(limits: dict[str, float], said: str) -> None:
    decision = decide(evidence(), GateConfig.model_validate(limits))
    assert (decision.verdict, decision.reason) == (Verdict.REJECT, said)
    assert decide(evidence(), GateConfig(max_student_parameters=1000)).promote


def test_the_former_name_of_the_margin_is_still_accepted() -> None:
    narrow = GateConfig.model_validate({"old_accuracy_tolerance": 0.05})
    assert (narrow.margin, narrow.max_taken, narrow.max_class_drop) == (0.05, 0.1, 0.3)
    wide = GateConfig.model_validate({"old_accuracy_tolerance": 1})
    assert (wide.margin, wide.max_taken, wide.max_class_drop) == (1, 1, 1)
    with pytest.raises(ValueError, match="margin"):
        GateConfig.model_validate({"old_accuracy_tolerance": "much"})
    with pytest.raises(ValueError, match="are the same"):
        GateConfig.model_validate({"old_accuracy_tolerance": 0.05, "margin": 0.05})


def test_classes_without_held_out_images_are_not_judged() -> None:
    whole = evidence(200)
    new = ~whole.is_old
    own = {
        role: Predictions(it.among_all[new], it.among_old[:0], whole.labels[:0])
        for role, it in whole.predictions.items()
    }
    decision = decide(replace(whole, labels=whole.labels[new], predictions=own), GATE)
    assert not any("champion" in it.name for it in decision.conditions)
