"""Lines of progress: text for people, and JSON in a pod, where programs collect them and people
search them by field.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from orchestrator.masking import masked
from orchestrator.terminal.printable import PrintableFormatter, say

Level = Literal["info", "warning", "error"]

# What is said as progress, apart from what is logged about trouble.
_PROGRESS = "orchestrator.progress"
_LEVELS: dict[Level, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LineWriter(Protocol):
    """Takes one line after the other."""

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Writes a line.

        Args:
            message: It.
            level: How much it matters.
            run: Id of the run it is about, if it is known.
            task: Number of the task, from 0.
            stage: Name of the stage, such as `teacher[0]`.
        """


class PlainLines:
    """For people: the message alone."""

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Prints it."""
        say(message)


class JsonLines:
    """For programs: one JSON object a line; `log_as_json` has been called before."""

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Prints it with time, level, run, task and stage."""
        logging.getLogger(_PROGRESS).log(
            _LEVELS[level], message, extra={"run": run, "task": task, "stage": stage}
        )


def is_read_by_programs() -> bool:
    """Whether this is a pod whose output is collected; in a terminal within one, somebody looks
    on.
    """
    return "KUBERNETES_SERVICE_HOST" in os.environ and not sys.stdout.isatty()


def line_writer() -> LineWriter:
    """What suits whoever reads."""
    return JsonLines() if is_read_by_programs() else PlainLines()


def log_without_secrets() -> None:
    """Hide the secrets of addresses in all that this process logs, libraries included."""
    logging.setLogRecordFactory(_masked_record)


def _masked_record(*values: Any, **named: Any) -> logging.LogRecord:  # noqa: ANN401 - as logging calls it
    record = logging.LogRecord(*values, **named)
    with suppress(TypeError, ValueError, KeyError):  # whoever formats it says what is wrong with it
        message = record.getMessage()
        if "://" in message:
            record.msg, record.args = masked(message), ()
    if record.exc_info:
        record.exc_text = masked(logging.Formatter().formatException(record.exc_info))
    return record


def log_as_text() -> None:
    """Holds on to how Python logs at first: warnings, as they are, on stderr. Else MLflow's PyTorch
    flavour would hide all of them.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableFormatter())
        logging.getLogger().addHandler(logging.lastResort)


def log_as_json() -> None:
    """Turns all that this process logs, warnings included, into JSON lines: progress on stdout, the
    rest on stderr.
    """
    formatter, progress = _JsonFormatter(), logging.getLogger(_PROGRESS)
    trouble = logging.StreamHandler(sys.stderr)
    trouble.setFormatter(formatter)
    logging.getLogger().addHandler(trouble)
    said = logging.StreamHandler(sys.stdout)
    said.setFormatter(formatter)
    progress.addHandler(said)
    progress.setLevel(logging.INFO)
    progress.propagate = False
    logging.captureWarnings(capture=True)


class _JsonFormatter(logging.Formatter):
    """Knows the run once a line has named it: what other modules log after that belongs to it."""

    def __init__(self) -> None:
        super().__init__()
        self._run: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        self._run = getattr(record, "run", "") or self._run
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{masked(self.formatException(record.exc_info))}"
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run": self._run,
            "task": getattr(record, "task", None),
            "stage": getattr(record, "stage", "") or None,
            "message": message,
        }
        return json.dumps(line, ensure_ascii=False)
