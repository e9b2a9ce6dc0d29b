"""Ticks of a retraining whose gate reaches no verdict, or rejects without blaming the data: on real
digits, with a real registry.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.config import Experiment
from orchestrator.errors import UserInputError
from orchestrator.pipelines.retraining.decisions import Decision, decide, this_person
from orchestrator.pipelines.retraining.history import read_history
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.reporting.history.sentences import champion_sentences, needs
from orchestrator.retraining.webhook import post_to_webhook
from orchestrator.tracking.reading import open_registry
from tests.integration.test_retraining import ANYTHING, NOTHING, House
from tests.page_text import text_of

UNDECIDED = ANYTHING | {"min_agreement": 0.5, "confidence": 0.9999999}
"""So sure can nobody be of a few images, however they are classified."""
HOLDS, ASKS = UNDECIDED | {"inconclusive": "hold"}, UNDECIDED | {"inconclusive": "ask"}
FEW, LATER = slice(12), slice(12, 24)
DECISIONS: tuple[Decision, ...] = ("approve", "reject")


@pytest.fixture
def house(
    tmp_path: Path, tiny_experiment: Experiment, new_database: Callable[[Path], str]
) -> House:
    """Return a retraining with a champion of 0 and 1, and a few images of 2 and 3."""
    house = House(tmp_path, tiny_experiment, new_database(tmp_path))
    house.deliver("first", 0, 1, part=FEW)
    assert house.tick().outcome == "promoted"
    house.deliver("second", 2, 3, part=FEW)
    return house


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the messages to the webhook."""
    told: list[dict[str, Any]] = []

    def post(webhook: object, content: dict[str, Any]) -> None:
        told.append(json.loads(json.dumps(content)))

    for module in ("retrain", "decisions"):
        monkeypatch.setattr(
            f"orchestrator.pipelines.retraining.{module}.{post_to_webhook.__name__}", post
        )
    return told


def tags_of(house: House, role: str, version: str) -> dict[str, str]:
    client = MlflowClient(house.uri, house.uri)
    return dict(client.get_model_version(f"house-{role}", version).tags)


def num_images(outcome: RetrainingOutcome) -> int:
    """Return the number of images that the gate has used."""
    return max(condition.num_images or 0 for condition in outcome.conditions)


def test_a_held_candidate_is_judged_again_on_later_images_without_training(house: House) -> None:
    dry = house.tick(dry_run=True, gate=HOLDS)
    assert (dry.outcome, dry.candidate) == ("held", None)
    held = house.tick(gate=HOLDS)
    assert (held.outcome, list(held.new_classes)) == ("held", [2, 3])
    assert "not enough held-out images" in held.reason
    assert house.aliases() == {"champion": "1", "challenger": "2"}
    assert tags_of(house, "teacher", "2")["orchestrator.state"] == "held"

    idle = house.tick(gate=HOLDS)
    assert (idle.outcome, idle.conditions) == ("held", ()), "no new images, no verdict"
    house.deliver("more", 2, 3, part=LATER)
    still = house.tick(gate=HOLDS)
    assert still.outcome == "held"
    assert num_images(still) > num_images(held)
    assert house.tick(gate=ANYTHING).conditions == (), "these images have been looked at"
    house.deliver("most", 2, 3, part=slice(24, 36))
    (house.folder / "out" / "candidate" / "summary.json").unlink()
    assert house.tick(dry_run=True).outcome == "promoted"
    promoted = house.tick()
    assert (promoted.outcome, list(promoted.new_classes)) == ("promoted", [2, 3])
    assert not (house.folder / "out" / "candidate" / "summary.json").exists(), "nothing is learned"
    assert house.aliases() == {"champion": "2", "previous": "1"}
    assert house.tick().outcome == "nothing_to_do"


def test_candidates_with_later_classes_continue_from_a_held_one_and_supersede_it(
    house: House,
) -> None:
    assert house.tick(gate=HOLDS).outcome == "held"
    house.deliver("third", 4, part=FEW)
    rejected = house.tick(gate=NOTHING | {"inconclusive": "hold"})
    assert (rejected.outcome, str(rejected.held)) == (
        "rejected",
        "teacher version 2, student version 2",
    )
    assert house.aliases() == {"champion": "1", "challenger": "2"}, "the held one stays"
    promoted = house.tick()
    assert (promoted.outcome, list(promoted.new_classes)) == ("promoted", [2, 3, 4])
    assert house.stages() == {"teacher[2]": True, "student[2]": True}
    assert house.aliases() == {"champion": "3", "previous": "1"}
    assert tags_of(house, "student", "2")["orchestrator.state"] == "superseded"
    assert house.tick().outcome == "nothing_to_do"


def test_while_a_person_is_asked_nothing_is_promoted_and_the_answer_is_kept(
    house: House, told: list[dict[str, Any]]
) -> None:
    retraining = house.retraining()
    with pytest.raises(UserInputError, match="no candidate is held"):
        decide(retraining, "approve", None, "good")
    asked = house.tick(gate=ASKS)
    assert asked.outcome == "asked"
    assert "`orchestrator approve RETRAINING.yaml 2 --reason TEXT`" in told[-1]["next_step"]
    assert json.loads((house.folder / "out" / "summary.json").read_text())["held"]["student"] == "2"
    page = text_of((house.folder / "out" / "report.html").read_text())
    assert "Version 2 waits for your decision (not enough held-out images" in page
    house.deliver("third", 4, part=FEW)
    still = house.tick()
    assert (still.outcome, "new classes: 4 (12 images)" in still.reason) == ("asked", True)
    assert house.tick(dry_run=True).outcome == "asked"
    for version, said in (("1", "is the champion already"), ("7", "no such version")):
        for decision in DECISIONS:
            with pytest.raises(UserInputError, match=said):
                decide(retraining, decision, version, "good")
    with pytest.raises(UserInputError, match="--reason is empty"):
        decide(retraining, "approve", None, " ")

    approved = decide(retraining, "approve", None, "checked by hand")
    assert approved.outcome == "promoted"
    assert house.aliases() == {"champion": "2", "previous": "1"}
    for role in ("student", "teacher"):
        tags = tags_of(house, role, "2")
        assert tags["orchestrator.state_reason"] == "checked by hand"
        assert tags["orchestrator.decided_by"].endswith(f"@{socket.gethostname()}")
    assert (told[-1]["outcome"], told[-1]["champion"]["student"]) == ("promoted", "2")
    history = read_history(open_registry(house.uri, "house"))
    assert history.champion is not None
    assert [(event.state, event.decided_by) for event in history.champion.life] == [
        ("asked", "gate"),
        ("champion", this_person()),
    ]
    assert f"promoted by {this_person()}." in champion_sentences(history)[0]
    assert not [said for said in needs(history) if "your decision" in said]
    assert list(house.tick().new_classes) == [4]
    with pytest.raises(UserInputError, match="has continued from version 1"):
        decide(retraining, "reject", "2", "too late")


def test_files_of_a_candidate_rejected_by_a_person_are_skipped_and_approval_stays_possible(
    house: House,
) -> None:
    assert house.tick(gate=ASKS).outcome == "asked"
    rejected = decide(house.retraining(), "reject", None, "blurred")
    assert rejected.outcome == "rejected"
    assert house.aliases() == {"champion": "1", "challenger": "2"}
    again = house.tick()
    assert (again.outcome, "version 2: blurred" in again.reason) == ("nothing_to_do", True)
    assert (
        decide(house.retraining(), "approve", "2", "they are always blurred").outcome == "promoted"
    )
    assert house.aliases() == {"champion": "2", "previous": "1"}


def test_a_weak_candidate_is_trained_again_with_other_seeds_a_limited_number_of_times(
    house: House,
) -> None:
    later: dict[str, Any] = {"reactions": {"max_retries": 1}, "gate": NOTHING}
    soon: dict[str, Any] = {"reactions": {"max_retries": 1, "retry_after_seconds": 0.0}}
    soon |= {"gate": NOTHING}
    assert house.tick(**later).outcome == "rejected"
    waits = house.tick(**later)
    assert waits.outcome == "nothing_to_do"
    assert "with another seed (1 of 1)" in waits.reason
    again = house.tick(**soon)
    assert (again.outcome, str(again.candidate)) == (
        "rejected",
        "teacher version 3, student version 3",
    )
    assert house.stages() == {"teacher[1]": False, "student[1]": False}
    last = house.tick(**soon)
    assert (last.outcome, "when more files have arrived" in last.reason) == ("nothing_to_do", True)
    house.deliver("more", 3, part=LATER)
    assert house.tick(**later).outcome == "rejected", "something has arrived: at once"
    assert house.tick().outcome == "promoted", "the gate is another one: at once"


def test_a_file_that_changes_while_its_candidate_is_held_is_learned_in_its_current_form(
    house: House,
) -> None:
    assert house.tick(gate=HOLDS).outcome == "held"
    house.deliver("second", 2, 3, part=LATER)  # no image of 3 is held out
    promoted = house.tick()
    assert (promoted.outcome, list(promoted.new_classes)) == ("promoted", [2])
    waits = house.tick()
    assert (waits.outcome, "3 (12)" in waits.reason) == ("nothing_to_do", True)
    house.deliver("third", 3, part=slice(24, 36))
    assert list(house.tick().new_classes) == [3]
    assert house.aliases() == {"champion": "4", "previous": "3", "challenger": "2"}
    assert (
        "have changed: second.parquet"
        in tags_of(house, "student", "2")["orchestrator.state_reason"]
    )
