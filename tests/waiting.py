"""Waiting in tests. A deadline is for code that hangs: it is many times what a loaded machine
needs. Conditions are polled often, so that waiting costs no time in the normal case.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 600.0
# Longer than anything under test takes: tests release in the end what they made hang.
HANGING_SECONDS = 120.0


def wait_until(
    condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS, pause_seconds: float = 0.05
) -> None:
    """Return as soon as the condition holds; fail if it does not within the given seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(pause_seconds)


def wait_for_server(
    process: "subprocess.Popen[bytes]", answers: Callable[[], bool], log: Path
) -> None:
    """Return as soon as a server answers.

    Args:
        process: The server's process. If it ends, fail at once with its log.
        answers: Function that queries the server once.
        log: The server's log file.
    """

    def said() -> str:
        return log.read_text(encoding="utf-8", errors="replace")

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers():
        ended = process.poll()
        assert ended is None, f"the server ended with exit code {ended}:\n{said()}"
        assert time.monotonic() < deadline, f"no answer in {PATIENCE_SECONDS:.0f} s:\n{said()}"
        time.sleep(0.1)
