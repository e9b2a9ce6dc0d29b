"""A history in sentences."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.reporting.history.facts import History, Version
from orchestrator.reporting.history.sentences import (
    champion_sentences,
    needs,
    recent_events,
    recent_sentences,
)
from orchestrator.retraining.tick_record import FindingRecord, TickRecord
from orchestrator.retraining.version_events import VersionEvent
from tests.made_up_history import NOW, days_ago

NewVersion = Callable[..., Version]


def test_the_champion_is_described_in_two_sentences(history: History) -> None:
    who, knows = champion_sentences(history)
    assert who == (
        "Version 3 of the student, with version 13 of the teacher, has been the champion since"
        " 9 Nov 2026, 12:00 UTC, promoted by the gate."
    )
    assert knows == (
        "It knows 6 classes; on held-out images the student’s accuracy is 94.0 % and the teacher’s"
        " 96.0 % (mean over the tasks)."
    )


def test_the_summary_of_30_days_counts_versions_registered_in_them(history: History) -> None:
    text = " ".join(recent_sentences(history, NOW))
    assert text.startswith("2 versions were trained: 1 became champion, 1 was rejected.")
    assert "The new champions learned from 60 new images in 1 file." in text
    assert (
        "The champion of 30 days ago was version 2; since then it knows 2 more classes (class 4,"
        " class 5), and the student’s accuracy on all its classes changed from 95.0 % to 94.0 %"
        " (−1.0 points)."
    ) in text


def test_a_month_without_versions_names_the_last_one(history: History) -> None:
    later = NOW + timedelta(days=60)
    text = " ".join(recent_sentences(history, later))
    assert (
        "No version was trained in the last 30 days. The last version was registered on 24 Nov"
        in text
    )
    assert "The champion is the same as 30 days ago." in text
    assert recent_events(history, later) == []


def test_events_are_newest_first_and_successions_are_not_repeated(history: History) -> None:
    followed = replace(
        history.versions[1],
        events=[*history.versions[1].events, VersionEvent(days_ago(20), "previous", "followed")],
    )
    versions = [history.versions[0], followed, *history.versions[2:]]
    events = recent_events(replace(history, versions=versions), NOW)
    assert [(it.version.student, it.event.state) for it in events] == [
        (4, "rejected"),
        (3, "champion"),
    ]


def test_the_approver_is_named_after_the_champion_is_replaced(new_version: NewVersion) -> None:
    life = [
        VersionEvent(days_ago(9), "asked", "not enough images", "gate"),
        VersionEvent(days_ago(8), "champion", "checked by hand", "anna"),
        VersionEvent(days_ago(2), "previous", "followed by version 6"),
    ]
    version = new_version(5, 9, "champion", events=life, reason="followed by version 6")
    assert version.decision == life[1]
    history = History("digits", version, [version])
    assert "promoted by anna." in champion_sentences(history)[0]


def test_after_a_rollback_a_version_reigns_twice(new_version: NewVersion) -> None:
    old = new_version(
        1,
        10,
        events=[VersionEvent(days_ago(days), "champion", "met") for days in (10, 1)],
    )
    bad = new_version(
        2,
        5,
        "rolled back",
        events=[
            VersionEvent(days_ago(5), "champion", "met"),
            VersionEvent(days_ago(1), "rolled back", "confuses 3 and 8"),
        ],
    )
    history = History("digits", old, [old, bad])
    assert [reign.version.student for reign in history.reigns] == [1, 2, 1]
    assert history.champion_at(days_ago(3)) is bad
    assert "1 became champion, 1 was rolled back" in recent_sentences(history, NOW)[0]


# --- what needs attention -------------------------------------------------------------------------


def test_nothing_needs_attention_when_nothing_is_open(history: History) -> None:
    assert needs(history) == []


def test_questions_come_before_refused_files_and_held_versions_last(
    history: History, new_version: NewVersion
) -> None:
    open_ones = [
        new_version(5, 3, "held", reason="few"),
        new_version(6, 2, "asked", reason="who knows"),
    ]
    findings = [
        FindingRecord("changed_files", "refuse", "a.parquet has changed"),
        FindingRecord("quarantined_files", "warn", "b.parquet is left out"),
        FindingRecord("shift", "warn", "class 3 has moved"),
        FindingRecord("silent_folder", "warn", "nothing has arrived for 9 days"),
    ]
    tick = TickRecord(days_ago(1), "rejected", "refused", findings, advice="collect new images")
    found = needs(replace(history, versions=[*history.versions, *open_ones], last_tick=tick))
    assert [text.split(" (")[0] for text in found] == [
        "Version 6 waits for your decision",
        "The last tick",
        "The last tick",
        "The last tick",
        "Collect new images.",
        "Version 5 is held",
    ]
    assert "`orchestrator approve experiments/retraining_digits.yaml 6 --reason TEXT`" in found[0]
    assert "a.parquet has changed" in found[1]
    assert "b.parquet is left out" in found[2]
    assert found[3].endswith("warned: nothing has arrived for 9 days.")


def test_a_failed_tick_and_a_missing_champion_need_attention(history: History) -> None:
    tick = TickRecord(days_ago(1), "failed", "/data/incoming is no folder")
    found = needs(replace(history, champion=None, last_tick=tick))
    assert "No version has the alias “champion”" in found[0]
    assert found[1].endswith("/data/incoming is no folder")


@pytest.mark.parametrize(
    ("hours", "words"), [(0.5, "less than an hour ago"), (1.5, "1 hour ago"), (49, "2 days ago")]
)
def test_the_age_of_the_last_tick_is_stated(history: History, hours: float, words: str) -> None:
    tick = TickRecord(NOW - timedelta(hours=hours), "nothing_to_do", "")
    assert f"{words}: nothing to do." in recent_sentences(replace(history, last_tick=tick), NOW)[-1]
