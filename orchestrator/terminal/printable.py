"""Escape terminal control characters in text, because names that users choose may contain them."""

from __future__ import annotations

import logging
import re

import typer

# The escaped characters: control characters (C0 except tab and line feed, DEL, C1), characters that
# change the writing direction, and surrogates.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text with every terminal control character replaced by its escape sequence."""
    return _COMMANDS.sub(lambda found: ascii(found.group())[1:-1], text)


def say(text: object, err: bool = False, nl: bool = True) -> None:
    """Print a text to standard output or standard error; escape its terminal control characters.

    Args:
        text: The text, or any object to print as `str(text)`.
        err: Whether to print to standard error.
        nl: Whether to end the line.
    """
    typer.echo(printable(str(text)), err=err, nl=nl)


class PrintableFormatter(logging.Formatter):
    """Log formatter that escapes terminal control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a log record, with escaped control characters."""
        return printable(super().format(record))
