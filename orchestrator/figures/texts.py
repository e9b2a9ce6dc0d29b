"""Shorten names and values of parameters for figures."""

import json
import math
import re
from collections.abc import Sequence

_LINE_LETTERS, _TEXT_LETTERS = 13, 26


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return a short name for each dotted path: the fewest parts at its end that distinguish the
    path from all other paths.
    """
    return {path: _short_name(path, paths) for path in paths}


def wrapped(text: str) -> str:
    """Return a text in lines of about 13 letters; lines break after spaces, dots, slashes and
    underscores.
    """
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
    """Return a string unchanged, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def shortened(value: object) -> str:
    """Return a value as text for a tick label: a number with three significant digits, any other
    value clipped to 26 letters and wrapped.
    """
    text = as_text(value)
    return (
        rounded(float(text), 3)
        if is_number(value)
        else wrapped(text if len(text) <= _TEXT_LETTERS else f"{text[: _TEXT_LETTERS - 1]}…")
    )


def rounded(value: float, digits: int) -> str:
    """Return a number as text, rounded to `digits` significant digits. Only very small and very
    large numbers have an exponent.
    """
    return f"{float(f'{value:.{digits}g}'):.12g}".replace("e-0", "e-")


def _short_name(path: str, paths: Sequence[str]) -> str:
    parts = path.split(".")
    for length in range(1, len(parts)):
        alike = sum(other.split(".")[-length:] == parts[-length:] for other in paths)
        # A short name must not begin with `kind` or with a list index, because both are meaningless
        # without the preceding part of the path.
        if alike == 1 and parts[-length] != "kind" and not parts[-length].isdigit():
            return ".".join(parts[-length:])
    return path
