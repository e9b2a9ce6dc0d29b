"""Write progress lines: as plain text for a person or, in a pod, as JSON, whose fields a log
collector can index.
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

# Name of the logger that writes progress lines; other loggers write warnings and errors.
_PROGRESS = "orchestrator.progress"
_LEVELS: dict[Level, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LineWriter(Protocol):
    """Writer of the lines that report the progress of a command."""

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Write one line.

        Args:
            message: The text of the line.
            level: Severity of the line.
            run: Id of the run that the line is about; empty if unknown.
            task: Number of the task, from 0.
            stage: Name of the stage, such as `teacher[0]`.
        """


class PlainLines:
    """Line writer for people: prints only the message."""

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Print the message."""
        say(message)


class JsonLines:
    """Line writer for programs: logs one JSON object per line. Call `log_as_json` before the first
    line.
    """

    def write(
        self,
        message: str,
        level: Level = "info",
        run: str = "",
        task: int | None = None,
        stage: str = "",
    ) -> None:
        """Log the message with time, level, run, task and stage."""
        logging.getLogger(_PROGRESS).log(
            _LEVELS[level], message, extra={"run": run, "task": task, "stage": stage}
        )


def is_read_by_programs() -> bool:
    """Return whether a program reads the output: the process runs in a Kubernetes pod, and the
    output is not a terminal.
    """
    return "KUBERNETES_SERVICE_HOST" in os.environ and not sys.stdout.isatty()


def line_writer() -> LineWriter:
    """Return a `JsonLines` if a program reads the output, and a `PlainLines` if a person does."""
    return JsonLines() if is_read_by_programs() else PlainLines()


def log_without_secrets() -> None:
    """Mask the secrets in addresses, such as passwords, in everything that this process and its
    libraries log.
    """
    logging.setLogRecordFactory(_masked_record)


def _masked_record(*values: Any, **named: Any) -> logging.LogRecord:  # noqa: ANN401 - as logging calls it
    record = logging.LogRecord(*values, **named)
    # Ignore a wrong format string here: the log formatter reports the mistake.
    with suppress(TypeError, ValueError, KeyError):
        message = record.getMessage()
        if "://" in message:
            record.msg, record.args = masked(message), ()
    if record.exc_info:
        record.exc_text = masked(logging.Formatter().formatException(record.exc_info))
    return record


def log_as_text() -> None:
    """Log warnings to stderr as unformatted text, which is Python's default.

    The default handler is added explicitly. Otherwise MLflow's PyTorch flavour would hide all
    warnings.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableFormatter())
        logging.getLogger().addHandler(logging.lastResort)


def log_as_json() -> None:
    """Log progress and warnings, including Python warnings, as JSON lines: progress to stdout,
    warnings and errors of other loggers to stderr.
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
    """Log formatter that writes a record as a JSON line. A record without a run id gets the run id
    of the latest record that had a run id.
    """

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
