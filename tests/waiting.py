"""Waiting in tests. A deadline is for what hangs: it is many times what a loaded machine needs,
and whatever is waited for is looked at often, so that it costs nothing where all goes well.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 600.0
# Nothing that is tested waits so long: the tests let what hangs go on in the end.
HANGING_SECONDS = 120.0


def wait_until(
    condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS, pause_seconds: float = 0.05
) -> None:
    """Return as soon as the condition holds; fail when it does not in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(pause_seconds)


def wait_for_server(
    process: "subprocess.Popen[bytes]", answers: Callable[[], bool], log: Path
) -> None:
    """Return as soon as a server answers.

    Args:
        process: The server's. When it ends there is nothing to wait for: fail at once, with its
            log.
        answers: Ask the server once.
        log: The file into which the server writes what it has to say.
    """

    def said() -> str:
        return log.read_text(encoding="utf-8", errors="replace")

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers():
        ended = process.poll()
        assert ended is None, f"the server ended with exit code {ended}:\n{said()}"
        assert time.monotonic() < deadline, f"no answer in {PATIENCE_SECONDS:.0f} s:\n{said()}"
        time.sleep(0.1)
