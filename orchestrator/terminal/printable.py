"""Text for a terminal: names come from others, and a terminal obeys what stands in them."""

from __future__ import annotations

import logging
import re

import typer

# C0 but for tab and line feed, DEL, C1, and what turns the direction of writing around
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text with every character written out that a terminal would take for a command."""
    return _COMMANDS.sub(lambda found: ascii(found.group())[1:-1], text)


def say(text: object, err: bool = False, nl: bool = True) -> None:
    """Print a text as it is read, on one of the two outputs.

    Args:
        text: Whatever has a text.
        err: Whether it goes to the standard error output.
        nl: Whether a line ends after it.
    """
    typer.echo(printable(str(text)), err=err, nl=nl)


class PrintableFormatter(logging.Formatter):
    """Write what is logged as a terminal may show it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return printable(super().format(record))
