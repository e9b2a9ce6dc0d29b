"""Store the log entries of a session in a file: one line per entry, in the order of logging.

In a session, one process logs to one run and to the run's children.

An incomplete last line is ignored: the process was killed while it wrote the line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UserInputError
from orchestrator.tracking.outbox.entries import Entry, entry_from_json


class Journal:
    """Appends log entries to a file, and reads them from the file.

    Args:
        path: Path of the file; the first entry creates the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, entry: Entry) -> int:
        """Append an entry to the file, and return the offset at which the entry ends.

        Raises:
            OSError: The entry cannot be written; the file is unchanged.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        line = entry.model_dump_json().encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) == len(line):
                return before + len(line)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise
        os.ftruncate(self._descriptor, before)
        raise OSError(None, "only a part of the entry was written")

    def entries_after(self, offset: int) -> list[tuple[Entry, int]]:
        """Return the entries after an offset, each with the offset at which the entry ends.

        Raises:
            UserInputError: A line is not an entry.
            OSError: The file cannot be read.
        """
        return [
            (self._entry(line, end - len(line)), end) for line, end in self._lines_after(offset)
        ]

    def has_entries_after(self, offset: int) -> bool:
        """Return whether the file has an entry (a complete line) after an offset in bytes.

        Raises:
            OSError: The file cannot be read.
        """
        return any(True for _ in self._lines_after(offset))

    def close(self) -> None:
        """Close the file if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lines_after(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Yield the complete lines after an offset, each with the offset at which the line ends."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(offset)
            end = offset
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield line, end

    def _entry(self, line: bytes, offset: int) -> Entry:
        try:
            return entry_from_json(line)
        except ValueError:
            what = f"the line at byte {offset} is not an entry ({line[:60]!r})"
            advice = (
                "delete the line to send the other entries, or the folder to discard all entries"
            )
            raise UserInputError(what, str(self._path), advice) from None
