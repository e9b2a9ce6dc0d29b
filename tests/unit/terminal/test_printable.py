"""Control sequences in foreign text never reach the terminal."""

import io
import logging
import sys

import pytest
from rich.table import Table

from orchestrator.terminal import console
from orchestrator.terminal.lines import PlainLines, log_as_text
from orchestrator.terminal.printable import printable, say

HOSTILE = "red\x1b[31m \x9b2J \x07\r\x08 \u202egnp.exe \ud800 \x7f"
SHOWN = r"red\x1b[31m \x9b2J \x07\r\x08 \u202egnp.exe \ud800 \x7f"


def test_control_sequences_are_escaped_and_text_stays() -> None:
    assert printable(HOSTILE) == SHOWN
    plain = "Zürich 猫 🐈 \N{RIGHT-TO-LEFT MARK}\n\ttable"
    assert printable(plain) == plain


def test_lines_and_logs_contain_no_control_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    before = [*logging.getLogger().handlers]
    try:
        log_as_text()
        (handler,) = (it for it in logging.getLogger().handlers if it is logging.lastResort)
        record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (HOSTILE,), None)
        assert handler.format(record) == SHOWN
    finally:
        logging.getLogger().handlers = before
    say(HOSTILE)
    say(HOSTILE, err=True)
    PlainLines().write(HOSTILE)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [SHOWN, SHOWN]
    assert captured.err.splitlines() == [SHOWN]


def test_tables_contain_no_control_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a terminal, where Rich writes control sequences of its own."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table(title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE, style="bold")
    shown = console.new_console(400)
    shown.print(table)
    shown.print(HOSTILE, soft_wrap=True)
    assert stream.getvalue().count(SHOWN) == 5
    assert printable(stream.getvalue()) == stream.getvalue()
