"""Output of a backtest while it runs and at its end."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.pipelines.retraining.backtest_listener import BacktestProgress
from orchestrator.retraining.backtest.replays import PlannedReplay, ReplayedTick
from orchestrator.terminal.backtest import TerminalBacktestListener

TICK = ReplayedTick(
    arrival="2026-11-22",
    date="2026-11-22T12:00:00+00:00",
    classes=tuple("01234567"),
    num_images=400,
    num_wrong=80,
    outcome="rejected",
    reason="new accuracy 42.0 %",
    findings=[],
    gate=[
        {
            "key": "student_new_accuracy",
            "value": 0.42,
            "bound": 0.5,
            "is_share": True,
            "verdict": "violated",
        }
    ],
    learned_wrong=False,
    seconds=75.0,
)
PLANNED = PlannedReplay("gate.min_new_accuracy=0.5", (1, 0), 0.2, 1)
CONTENT: dict[str, Any] = {
    "confidence": 0.95,
    "past_arrivals": [{}, {}],
    "summary": [
        {
            "setting": "",
            "wrong_labels": 0.0,
            "replays": 1,
            "outcomes": {"promoted": 2},
            "false_alarms": {"count": 0, "total": 2, "share": 0.0, "low": 0.0, "high": 0.842},
            "misses": None,
        }
    ],
    "replays": [
        {
            "setting": PLANNED.setting,
            "order": [1, 0],
            "share": 0.2,
            "ticks": [
                {
                    "arrival": TICK.arrival,
                    "classes": list(TICK.classes),
                    "num_images": TICK.num_images,
                    "num_wrong": TICK.num_wrong,
                    "outcome": TICK.outcome,
                    "learned_wrong": TICK.learned_wrong,
                    "gate": TICK.gate,
                }
            ],
        }
    ],
}


class Lines:
    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, message: str, *_: object) -> None:
        self.written.append(message)


@pytest.fixture
def shown() -> tuple[TerminalBacktestListener, Lines, Console]:
    console, lines = Console(file=io.StringIO(), width=160), Lines()
    return TerminalBacktestListener(console, lines), lines, console


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_tick_is_one_line_with_its_number_and_the_time_left(
    shown: tuple[TerminalBacktestListener, Lines, Console],
) -> None:
    listener, lines, _ = shown
    listener.backtest_started(num_arrivals=2, num_replays=8, num_finished=3)
    listener.tick_finished(PLANNED, TICK, BacktestProgress(4, 8, 2, 2, 8, 16, 600.0))
    assert lines.written == [
        "2 arrivals, 8 replays, 3 of them finished earlier",
        (
            "replay 4/8 (20.0 % wrong labels, gate.min_new_accuracy=0.5) tick 2/2 2026-11-22"
            " {0, 1, 2, 3, 4, 5, and 2 more}, 80 wrong labels: rejected: new accuracy 42.0 %  1 min"
            " 15 s, about 10 min 00 s left"
        ),
    ]


def test_the_text_output_shows_every_tick_and_the_errors_as_tables(
    shown: tuple[TerminalBacktestListener, Lines, Console],
) -> None:
    listener, lines, console = shown
    listener.backtest_finished(CONTENT, Path("out"))
    text = text_of(console)
    assert "order 2 1, 20.0 % wrong labels, gate.min_new_accuracy=0.5" in text
    [row] = [line for line in text.splitlines() if TICK.arrival in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "2026-11-22",
        "0, 1, 2, 3, 4, 5, and 2 more",
        "80 of 400",
        "rejected",
        "42.0 ✕",
    ]
    assert "0 of 2, 0.0 % (0.0 – 84.2)" in text
    assert lines.written == ["backtest out/backtest.json", "report   out/backtest.html"]


def test_the_json_output_has_the_errors_as_lines(
    shown: tuple[TerminalBacktestListener, Lines, Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    listener, lines, console = shown
    listener.backtest_finished(CONTENT, Path("out"))
    assert text_of(console) == ""
    assert lines.written[0] == "no wrong labels: false alarms 0 of 2, 0.0 % (0.0 – 84.2)"
