"""Progress on images is shown as a bar in a terminal, and as occasional lines elsewhere."""

import io

import pytest
from rich.console import Console

from orchestrator.terminal import image_progress
from orchestrator.terminal.image_progress import ImageProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that advances only when told to."""
    made = Clock()
    monkeypatch.setattr(image_progress, "time", made)
    return made


def test_without_a_terminal_a_line_every_ten_seconds_shows_the_progress(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = ImageProgress(Console(file=io.StringIO()), "decoding")
    for done in range(1, 101):
        progress(done, 100)
        clock.now += 0.25
    assert capsys.readouterr().out.splitlines() == [
        "decoding 41 of 100 images, about 14 s left",
        "decoding 81 of 100 images, about 5 s left",
    ]


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ImageProgress(Console(file=io.StringIO()), "decoding")
    for done in range(1, 4):
        progress(done, 3)
    assert capsys.readouterr().out == ""


def test_at_a_terminal_there_is_a_bar_until_all_is_done() -> None:
    shown = io.StringIO()
    progress = ImageProgress(
        Console(file=shown, force_terminal=True, width=100, _environ={"TERM": "xterm"}), "decoding"
    )
    progress(1, 2)
    progress(2, 2)
    assert "decoding" in shown.getvalue()
    assert "2/2" in shown.getvalue()
    progress.close()
