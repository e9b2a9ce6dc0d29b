"""A scan finds the changes in a source, and a plan reacts to them."""

import hashlib

import pytest

from orchestrator.config import Retraining
from orchestrator.retraining.changes import ChangePlan, FindingKind, plan_changes
from orchestrator.retraining.lineage import Lineage, TakenFile, overlap, sketch
from orchestrator.retraining.scan import NewFile, Scan

KNOWN = Lineage(
    files=(
        TakenFile(
            name="a",
            sha256="a" * 64,
            num_bytes=1,
            modified=0.0,
            delivery=1,
            num_images={"0": 50, "1": 50},
        ),
        TakenFile(
            name="b", sha256="b" * 64, num_bytes=1, modified=0.0, delivery=2, num_images={"2": 50}
        ),
    ),
    tasks=((0, 1), (2,)),
    deliveries={"0": 1, "1": 1, "2": 2},
    sketches={
        label: sketch(hashlib.sha256(f"{label} {i}".encode()).digest() for i in range(50))
        for label in "012"
    },
)


def digests(label: str, num: int, start: int = 1000) -> list[bytes]:
    return [hashlib.sha256(f"{label} {i}".encode()).digest() for i in range(start, start + num)]


def new_file(name: str = "new", **images: list[bytes]) -> NewFile:
    found = {label.removeprefix("_"): of_class for label, of_class in images.items()}
    return NewFile(
        name,
        hashlib.sha256(name.encode()).hexdigest(),
        1,
        0.0,
        found,
        all(label.isdecimal() for label in found),
    )


def planned(found: Scan, lineage: Lineage = KNOWN, **reactions: object) -> ChangePlan:
    values = {
        "experiment": {},
        "source": {"path": "/nowhere", "min_images_per_class": 20},
        "reactions": reactions,
    }
    return plan_changes(found, lineage, Retraining.model_validate(values))


def kinds(plan: ChangePlan) -> dict[FindingKind, str]:
    return {finding.kind: finding.reaction for finding in plan.findings}


def test_without_changes_nothing_is_learned() -> None:
    plan = planned(Scan(kept=KNOWN.files))
    assert not plan.learns
    assert not plan.findings


def test_new_classes_become_one_task_in_natural_order() -> None:
    plan = planned(
        Scan(kept=KNOWN.files, new=[new_file(_10=digests("10", 30), _9=digests("9", 30))])
    )
    assert plan.new_classes == (9, 10)
    assert plan.learns
    assert "9 (30 images), 10 (30 images)" in plan.findings[0].message


@pytest.mark.parametrize(
    ("num_held_out", "is_learned"), [({"5": 0}, False), ({"5": 3}, True), (None, True)]
)
def test_an_earlier_class_without_held_out_images_waits_for_some(
    num_held_out: dict[str, int] | None, is_learned: bool
) -> None:
    """It came in a file from which other classes were learned; earlier lineages lack such
    counts.
    """
    earlier = KNOWN.files[1].model_copy(
        update={"num_images": {"2": 50, "5": 30}, "num_held_out": num_held_out}
    )
    plan = planned(Scan(kept=[KNOWN.files[0], earlier]))
    assert plan.new_classes == ((5,) if is_learned else ())
    assert (FindingKind.WAITING_CLASSES in kinds(plan)) != is_learned


def test_text_labels_stay_text() -> None:
    assert planned(
        Scan(new=[new_file(cat=digests("c", 30), dog=digests("d", 30))]), Lineage()
    ).new_classes == ("cat", "dog")


def test_a_first_model_waits_for_two_classes() -> None:
    plan = planned(Scan(new=[new_file(_0=digests("0", 30))]), Lineage())
    assert not plan.learns
    assert kinds(plan) == {FindingKind.WAITING_CLASSES: "wait"}


def test_a_class_with_too_few_images_waits_and_earlier_images_count() -> None:
    few = Scan(kept=KNOWN.files, new=[new_file(_7=digests("7", 19))])
    assert kinds(planned(few)) == {FindingKind.WAITING_CLASSES: "wait"}
    earlier = TakenFile(
        name="e", sha256="e" * 64, num_bytes=1, modified=0.0, delivery=2, num_images={"7": 10}
    )
    lineage = KNOWN.model_copy(update={"files": (*KNOWN.files, earlier)})
    assert planned(
        Scan(kept=lineage.files, new=[new_file(_7=digests("7", 19))]), lineage
    ).new_classes == (7,)


@pytest.mark.parametrize(
    ("reaction", "learns"), [("learn", True), ("warn", False), ("refuse", False)]
)
def test_new_classes_may_be_only_reported_or_refused(reaction: str, learns: bool) -> None:
    plan = planned(
        Scan(kept=KNOWN.files, new=[new_file(_7=digests("7", 30))]), new_classes=reaction
    )
    assert plan.learns == learns
    assert bool(plan.refusals) == (reaction == "refuse")


def test_a_refusal_prevents_all_learning() -> None:
    found = Scan(kept=KNOWN.files[:1], new=[new_file(_7=digests("7", 30))], changed=KNOWN.files[1:])
    plan = planned(found, vanished_classes="warn")
    assert not plan.learns
    assert [finding.kind for finding in plan.refusals] == [FindingKind.CHANGED_FILES]
    assert planned(found, vanished_classes="warn", changed_files="warn").learns


def test_a_class_without_images_is_refused_and_named() -> None:
    plan = planned(Scan(kept=KNOWN.files[:1], vanished=KNOWN.files[1:]))
    assert kinds(plan) == {
        FindingKind.VANISHED_FILES: "warn",
        FindingKind.VANISHED_CLASSES: "refuse",
    }
    assert plan.refusals[0].classes == ("2",)


def test_a_renamed_class_is_recognised_by_its_images() -> None:
    plan = planned(Scan(kept=KNOWN.files, new=[new_file(zero=digests("0", 50, start=0))]))
    assert plan.refusals[0].classes == ("0", "zero")
    assert "100%" in plan.refusals[0].message


def test_more_images_are_learned_only_if_configured_and_numerous_enough() -> None:
    found = Scan(kept=KNOWN.files, new=[new_file(_2=digests("2", 12))])
    assert kinds(planned(found)) == {FindingKind.MORE_SAMPLES: "warn"}
    assert planned(found, more_samples="refresh").refreshed == ("2",)
    waiting = planned(found, more_samples="refresh", min_refresh_fraction=0.5)
    assert not waiting.learns
    assert kinds(waiting) == {FindingKind.MORE_SAMPLES: "wait"}
    assert not planned(
        Scan(kept=KNOWN.files[1:], new=found.new, vanished=KNOWN.files[:1]), more_samples="refresh"
    ).refreshed


def test_sketches_estimate_how_many_images_two_sets_share() -> None:
    one = digests("x", 1000, 0)
    assert overlap(sketch(one), sketch(reversed(one))) == 1.0
    assert overlap(sketch(one), sketch(digests("y", 1000))) == 0.0
    assert overlap(sketch(one[:10]), sketch(one)) == 1.0
    half = overlap(sketch(one), sketch([*one[:500], *digests("y", 500)]))
    assert 0.2 < half < 0.8
    assert overlap(sketch([]), sketch(one)) == 0.0
