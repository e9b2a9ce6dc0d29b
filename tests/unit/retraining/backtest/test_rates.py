"""False alarms and misses, counted by hand."""

import json
from typing import Any

import pytest

from orchestrator.retraining.backtest.rates import Rate, Tally, tally
from orchestrator.retraining.backtest.replays import PlannedReplay, Replay, ReplayedTick


def tick(outcome: str, **changes: object) -> ReplayedTick:
    values: dict[str, Any] = {
        "arrival": "2026-11-22",
        "date": "2026-11-22T12:00:00+00:00",
        "classes": ("0", "1"),
        "num_images": 60,
        "num_wrong": 0,
        "outcome": outcome,
        "reason": "",
        "findings": [],
        "gate": [],
        "learned_wrong": False,
        "seconds": 1.0,
    }
    return ReplayedTick(**(values | changes))


def replay(*ticks: ReplayedTick, share: float = 0.0, setting: str = "") -> Replay:
    target = 1 if share else None
    return Replay(PlannedReplay(setting, tuple(range(len(ticks))), share, target), ticks)


def test_a_false_alarm_is_a_judged_tick_without_promotion() -> None:
    replays = [
        replay(tick("promoted"), tick("nothing_to_do"), tick("rejected")),
        replay(tick("promoted"), tick("held"), tick("asked")),
    ]
    outcomes = {"promoted": 2, "nothing_to_do": 1, "rejected": 1, "held": 1, "asked": 1}
    assert tally(replays) == [Tally("", 0.0, 2, outcomes, false_alarms=Rate(3, 5))]


def test_a_miss_is_a_replay_whose_champion_learns_from_wrong_labels() -> None:
    wrong = {"num_wrong": 12}
    replays = [
        replay(tick("promoted"), tick("rejected", **wrong), share=0.2),
        replay(tick("promoted"), tick("promoted", **wrong, learned_wrong=True), share=0.2),
        # held, and promoted after more images have come
        replay(
            tick("promoted"),
            tick("held", **wrong),
            tick("promoted", learned_wrong=True),
            share=0.2,
        ),
        # the wrong file was rejected; later files are correct
        replay(tick("promoted"), tick("rejected", **wrong), tick("promoted"), share=0.2),
    ]
    outcomes = {"rejected": 2, "promoted": 1, "held": 1}
    assert tally(replays) == [Tally("", 0.2, 4, outcomes, misses=Rate(2, 4))]


def test_settings_and_shares_are_counted_separately() -> None:
    replays = [
        replay(tick("promoted")),
        replay(tick("promoted", num_wrong=1, learned_wrong=True), share=0.05),
        replay(tick("rejected"), setting="gate.min_new_accuracy=1"),
    ]
    assert [(row.setting, row.wrong_labels) for row in tally(replays)] == [
        ("", 0.0),
        ("", 0.05),
        ("gate.min_new_accuracy=1", 0.0),
    ]


def test_without_judged_ticks_there_is_no_rate() -> None:
    [row] = tally([replay(tick("nothing_to_do"))])
    assert row.false_alarms is not None
    assert row.false_alarms.share is None
    assert row.false_alarms.interval is None


@pytest.mark.parametrize(
    ("rate", "low", "high"),
    # Clopper-Pearson in closed form: for none and for all, 1 - 0.025^(1/n) and 0.025^(1/n)
    [(Rate(0, 20), 0.0, 1 - 0.025 ** (1 / 20)), (Rate(20, 20), 0.025 ** (1 / 20), 1.0)],
)
def test_the_interval_is_exact_binomial(rate: Rate, low: float, high: float) -> None:
    assert rate.interval == pytest.approx((low, high))


def test_a_replay_survives_a_round_trip_through_json() -> None:
    before = replay(tick("promoted"), tick("rejected", num_wrong=3), share=0.2, setting="gate.x=1")
    assert Replay.from_json(json.loads(json.dumps(before.as_json()))) == before
