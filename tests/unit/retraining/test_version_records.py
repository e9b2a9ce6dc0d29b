"""The registry records a version's events and a tick in tags of at most 5,000 characters."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.retraining.tick_record import FindingRecord, TickRecord, read_tick_record
from orchestrator.retraining.version_events import VersionEvent, read_events, with_event

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAX_TAG = 5000


def after(days: int, state: str, reason: str = "", decided_by: str = "") -> VersionEvent:
    return VersionEvent(BEGAN + timedelta(days=days), state, reason, decided_by)


def test_events_are_kept_in_order() -> None:
    events = [after(0, "held", "“few” images"), after(3, "champion", "looks right", "anna")]
    text = ""
    for event in events:
        text = with_event(text, event)
    assert read_events(text) == events


def test_a_repeated_event_is_stored_once() -> None:
    text = with_event("", after(0, "rejected", "forgets"))
    assert with_event(text, after(1, "rejected", "forgets")) == text
    assert len(read_events(with_event(text, after(1, "rejected", "forgets more")))) == 2


def test_if_a_tag_is_too_small_the_first_and_the_last_events_are_kept() -> None:
    text = ""
    for day in range(40):
        text = with_event(text, after(day, "held", f"{day} " + "ä" * 1000))
        assert len(text) < MAX_TAG
    days = [int(event.reason.split()[0]) for event in read_events(text)]
    assert days[0] == 0
    assert days[1:] == [*range(41 - len(days), 40)]
    assert len(days) > 5


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '[{"at": "yesterday", "state": "held"}]'])
def test_a_damaged_tag_has_no_events_and_can_be_rewritten(text: str) -> None:
    assert read_events(text) == []
    assert len(read_events(with_event(text, after(0, "champion")))) == 1


def test_a_recorded_tick_is_read_back() -> None:
    findings, moves = (
        [FindingRecord("shift", "warn", "3 moved")],
        ["2 of 9 images of ant go to cat"],
    )
    tick = TickRecord(BEGAN, "promoted", "all met", findings, moves=moves, advice="collect more")
    assert read_tick_record(tick.as_text()) == tick


def test_a_tick_is_recorded_from_its_summary() -> None:
    move = {"old": "ant", "new": "cat", "num_images": 2, "num_held_out": 9}
    finding = {"kind": "shift", "reaction": "warn", "message": "3 moved", "classes": ["3"]}
    summary = {
        "outcome": "promoted",
        "reason": "all met",
        "findings": [finding],
        "moves": [move] * 20,
        "advice": "collect more",
    }
    tick = TickRecord.of(summary, BEGAN)
    assert tick.findings == [FindingRecord("shift", "warn", "3 moved")]
    assert tick.moves == ["2 of 9 images of ant go to cat"] * 10
    assert tick.advice == "collect more"


def test_findings_that_do_not_fit_into_a_tag_are_counted() -> None:
    findings = [FindingRecord("shift", "warn", f"{number} " + "x" * 500) for number in range(100)]
    text = TickRecord(BEGAN, "rejected", "refused", findings).as_text()
    found = read_tick_record(text)
    assert len(text) < MAX_TAG
    assert found is not None
    assert len(found.findings) > 5
    assert len(found.findings) + found.num_omitted == 100
    assert found.findings[0].message.startswith("0 xxx")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": 3}'])
def test_a_damaged_record_of_a_tick_is_ignored(text: str) -> None:
    assert read_tick_record(text) is None
