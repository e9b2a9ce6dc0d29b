"""Verdicts of the gate as text."""

from dataclasses import replace

import pytest

from orchestrator.reporting.history.conditions import conditions_of
from orchestrator.reporting.history.facts import GateCondition
from orchestrator.reporting.history.verdicts import verdict_row, verdict_sentence
from tests.made_up_history import OLD_ACCURACY


def test_a_verdict_is_a_sentence_in_percent_with_one_decimal() -> None:
    assert verdict_sentence(OLD_ACCURACY) == (
        "student: accuracy on the champion's classes 97.6 % (95.0 to 99.1), at least 96.0 %: met"
    )


def test_a_difference_keeps_its_sign() -> None:
    worse = replace(OLD_ACCURACY, value=-0.012, lower=-0.034, upper=0.006, bound=-0.02)
    assert verdict_sentence(worse).endswith("−1.2 % (−3.4 to 0.6), at least −2.0 %: met")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"key": "student_parameters", "condition": "parameters", "value": 78123.0}, "78,123"),
        ({"condition": "student: parameters", "value": 78123.0}, "78,123"),
        ({"condition": "milliseconds for one image", "value": 3.14159}, "3.1 ms"),
        ({"condition": "shoe size", "value": 0.5, "is_share": False}, "0.5"),
        ({"condition": "agreement of student and teacher", "value": 0.87993}, "88.0 %"),
    ],
)
def test_values_that_are_no_share_are_not_in_percent(row: dict[str, object], words: str) -> None:
    [reported] = conditions_of([row])
    shown = verdict_row(reported)
    assert (shown.measured, shown.bound, shown.bar) == (words, "", "")


def test_the_number_of_images_that_would_decide_is_stated() -> None:
    unknown = replace(OLD_ACCURACY, verdict="not enough images", more_images=2100)
    assert verdict_row(unknown).images == "160; about 2,100 more images needed to decide"
    assert verdict_row(OLD_ACCURACY).images == "160"


def test_the_bar_shows_interval_value_and_bound_in_order() -> None:
    bar = str(verdict_row(OLD_ACCURACY).bar)
    # by hand: 95.02 to 99.11 over 108 points from 6; 96 is at 6 + 108 · 0.98 / 4.09
    assert 'x1="6.0" x2="114.0"' in bar
    assert 'class="bound" x1="31.9"' in bar
    assert 'cx="73.3"' in bar


@pytest.mark.parametrize(
    ("verdict", "shown", "kind"),
    [
        ("met", "✓ met", "better"),
        ("violated", "✕ violated", "worse"),
        ("not enough images", "? not enough images", ""),
        ("postponed", "postponed", ""),
    ],
)
def test_a_verdict_has_a_symbol_besides_its_colour(verdict: str, shown: str, kind: str) -> None:
    row = verdict_row(replace(OLD_ACCURACY, verdict=verdict))
    assert (row.verdict, row.kind) == (shown, kind)


def test_conditions_are_read_from_the_registry_and_from_a_summary() -> None:
    tag = {
        "name": "n",
        "key": "k",
        "value": 0.5,
        "lower": None,
        "upper": None,
        "bound": 0.6,
        "is_upper": False,
        "verdict": "not enough images",
        "is_share": True,
        "num_images": 12,
        "more_images": 30,
    }
    summary = {"condition": "n", "value": 0.5, "bound": 0.6, "is_upper": False, "met": False}
    assert conditions_of([tag]) == [
        GateCondition("n", "k", 0.5, None, None, 0.6, False, "not enough images", True, 12, 30)
    ]
    assert [it.verdict for it in conditions_of([summary])] == ["violated"]


@pytest.mark.parametrize("rows", [[{}], ["text"], {"a": 1}, [{"value": "much"}]])
def test_an_unknown_condition_is_an_error(rows: object) -> None:
    with pytest.raises(ValueError, match=r"condition|float"):
        conditions_of(rows)  # type: ignore[arg-type]
