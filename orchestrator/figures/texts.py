"""Shorten names and values of parameters for figures."""

import json
import math
import re
from collections.abc import Sequence

_LINE_LETTERS, _TEXT_LETTERS = 13, 26


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return, for each path, the fewest trailing parts that distinguish it from the other paths."""
    return {path: _short_name(path, paths) for path in paths}


def wrapped(text: str) -> str:
    """Return the text in lines of about 13 letters, broken after word separators."""
    lines = [""]
    for word in re.findall(r"[^._/ ]*[._/ ]|[^._/ ]+", text):
        if lines[-1] and len(lines[-1]) + len(word) > _LINE_LETTERS:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def as_text(value: object) -> str:
    """Return a string unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def shortened(value: object) -> str:
    """Return a value that fits a tick label: three digits, or three short lines."""
    text = as_text(value)
    return (
        rounded(float(text), 3)
        if is_number(value)
        else wrapped(text if len(text) <= _TEXT_LETTERS else f"{text[: _TEXT_LETTERS - 1]}…")
    )


def rounded(value: float, digits: int) -> str:
    """Return a number with the given number of digits, without an exponent if that is more
    readable.
    """
    return f"{float(f'{value:.{digits}g}'):.12g}".replace("e-0", "e-")


def _short_name(path: str, paths: Sequence[str]) -> str:
    parts = path.split(".")
    for length in range(1, len(parts)):
        alike = sum(other.split(".")[-length:] == parts[-length:] for other in paths)
        # "kind", or an index of a list, is meaningless without the part before it.
        if alike == 1 and parts[-length] != "kind" and not parts[-length].isdigit():
            return ".".join(parts[-length:])
    return path
