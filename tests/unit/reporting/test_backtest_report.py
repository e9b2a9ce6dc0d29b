"""The numbers of a backtest are formatted for people."""

from typing import Any

import pytest

from orchestrator.reporting.backtest_report import (
    backtest_report,
    condition_columns,
    rate_text,
    replay_name,
    verdict_text,
)

CONDITIONS = [
    {
        "key": "teacher_old_accuracy_change",
        "value": -0.024,
        "bound": -0.02,
        "is_share": True,
        "verdict": "violated",
        "measured": "-2.4 % (-3.1 % to -2.1 %)",
        "demanded": "at least -2.0 %",
    },
    {"key": "agreement", "value": 0.9, "bound": 0.5, "is_share": True, "verdict": "met"},
    {
        "key": "student_new_accuracy",
        "value": 0.5,
        "bound": 0.6,
        "is_share": True,
        "verdict": "not enough images",
    },
    {
        "key": "student_parameters",
        "value": 18_400,
        "bound": 20_000,
        "is_share": False,
        "verdict": "met",
        "measured": "18,400",
    },
    {"key": "student_latency_ms", "value": 0.25, "bound": None, "verdict": "reported"},
]
for condition in CONDITIONS:
    condition.setdefault("measured", "some")
    condition.setdefault("demanded", "more")
TICK: dict[str, Any] = {
    "arrival": "2026-11-22",
    "classes": ["<0>", "1"],
    "num_wrong": 3,
    "num_images": 1200,
    "outcome": "nothing_to_do",
    "reason": "why & how",
    "learned_wrong": True,
    "gate": CONDITIONS,
}
RATE = {"count": 1, "total": 20, "share": 0.05, "low": 0.0013, "high": 0.2487}
CONTENT: dict[str, Any] = {
    "retraining": "digits",
    "folder": "/past",
    "group_by": "day",
    "seed": 0,
    "confidence": 0.95,
    "past_arrivals": [
        {"name": name, "date": "", "files": ["a"], "num_images": {"0": 1200}}
        for name in ("first", "second")
    ],
    "summary": [
        {
            "setting": "",
            "wrong_labels": 0.2,
            "replays": 1,
            "outcomes": {"nothing_to_do": 1, "postponed": 2},
            "false_alarms": None,
            "misses": RATE,
        }
    ],
    "replays": [{"setting": "gate.x=1", "order": [1, 0], "share": 0.2, "ticks": [TICK]}],
}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("teacher_old_accuracy_change", "−2.4 ✕"),
        ("agreement", "90.0 ✓"),
        ("student_new_accuracy", "50.0 ?"),
        ("student_parameters", "18,400 ✓"),
        ("student_latency_ms", "–"),
        ("nonesuch", "–"),
    ],
)
def test_a_verdict_is_a_value_in_its_unit_and_a_mark(key: str, text: str) -> None:
    assert verdict_text(TICK, key) == text


def test_columns_are_conditions_with_a_bound_and_roles_share_them() -> None:
    of_teacher = {"key": "teacher_new_accuracy", "value": 0.5, "bound": 0.6}
    replay = {"ticks": [TICK, {"gate": [of_teacher]}]}
    assert condition_columns([replay]) == {
        "old_accuracy_change": ["teacher_old_accuracy_change"],
        "agreement": ["agreement"],
        "new_accuracy": ["student_new_accuracy", "teacher_new_accuracy"],
        "parameters": ["student_parameters"],
    }


def test_a_rate_is_written_with_its_interval() -> None:
    assert rate_text(RATE) == "1 of 20, 5.0 % (0.1 – 24.9)"
    assert rate_text(None) == "–"
    assert rate_text({"count": 0, "total": 0}) == "–"


def test_a_replay_is_named_by_what_distinguishes_it() -> None:
    assert replay_name(CONTENT["replays"][0], CONTENT) == "order 2 1, 20.0 % wrong labels, gate.x=1"
    by_date = {"order": [0, 1], "share": 0, "setting": ""}
    assert replay_name(by_date, CONTENT) == "by date"


def test_the_page_shows_every_tick_and_unknown_outcomes() -> None:
    html = backtest_report(CONTENT)
    assert "&lt;0&gt;, 1" in html
    assert "why &amp; how" in html
    assert "3 of 1,200" in html
    assert 'title="✕ -2.4 % (-3.1 % to -2.1 %), at least -2.0 %"' in html
    assert "nothing to do (a miss)" in html
    assert '<th class="number">postponed</th>' in html
    assert "1 of 20, 5.0 % (0.1 – 24.9)" in html
