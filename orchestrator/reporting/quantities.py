"""Format numbers with units for people."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from statistics import fmean, stdev

from markupsafe import Markup, escape

from orchestrator.config.objective import unit_of

NOTHING = "–"
_MINUS = "−"
_LONG_FRACTION = re.compile(r"\d+\.\d{5,}(?:e-?\d+)?")


def duration(seconds: float) -> str:
    """Return a duration such as `12 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(num_bytes: int) -> str:
    """Return a size in decimal units, such as `512 B`, `1.5 kB`, `20.0 MB`."""
    return f"{num_bytes} B" if num_bytes < 1000 else _scaled(num_bytes, ["kB", "MB", "GB", "TB"])


def short_count(number: int) -> str:
    """Return a rounded count, such as `512`, `18.4 k`, `78.6 M`, `1.8 G`."""
    return str(number) if number < 1000 else _scaled(number, ["k", "M", "G", "T"])


def _scaled(number: float, units: list[str]) -> str:
    unit = ""
    while number >= 999.95 and units:
        number, unit = number / 1000, units.pop(0)
    return f"{number:.1f} {unit}"


def percent_number(fraction: float | None) -> str:
    """Return a fraction in percent without the percent sign, such as `95.2`; a dash if missing."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return _with_minus(f"{100 * fraction:.1f}")


def percent(fraction: float | None) -> str:
    """Return a fraction in percent, such as `95.2 %`; a dash if missing."""
    number = percent_number(fraction)
    return number if number == NOTHING else f"{number} %"


def objective_text(value: float | None, metric: str) -> str:
    """Return an objective's value as text with the unit of its metric, such as `95.2 %`, `431,904`,
    `1.24 ms`, `20.0 kB` or `12.3 s`; a dash if the value is missing.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    match unit_of(metric):
        case "fraction":
            return percent(value)
        case "count":
            return count(round(value))
        case "bytes":
            return size(round(value))
        case "ms":
            return f"{value:.3g} ms"
        case "seconds":
            return f"{value:.3g} s" if value < 100 else duration(value)
        case "mixed":
            return _with_minus(f"{value:.4g}")


def signed_points(difference: float) -> str:
    """Return the difference of two fractions in percentage points: `+1.2`, `−0.4`, `0.0`."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else _with_minus(text)


def mean_and_deviation(fractions: Sequence[float]) -> str:
    """Return the mean and standard deviation of fractions in percent, such as `98.9 ± 0.3`.

    A single fraction has no deviation, so only its value is returned. The result is a dash if
    `fractions` is empty.
    """
    if len(fractions) < 2:
        return percent_number(fractions[0] if fractions else None)
    return f"{percent_number(fmean(fractions))} ± {percent_number(stdev(fractions))}"


def count(number: int) -> str:
    """Return a count with thousands separators, such as `431,904`."""
    return f"{number:,}"


def short_numbers(text: str) -> str:
    """Return a text in which every long decimal fraction is rounded to five significant digits."""
    return _LONG_FRACTION.sub(lambda found: f"{float(found[0]):.5g}", text)


def breakable(path: str) -> Markup:
    """Return a dotted path as HTML in which lines may break after dots and underscores."""
    return Markup(re.sub(r"([._/])(?=\w)", r"\1<wbr>", str(escape(path))))  # noqa: S704 - escaped


def moment(time: datetime | None) -> str:
    """Return a time such as `22 Nov 2026, 06:06 UTC`; a dash if unknown."""
    return NOTHING if time is None else f"{time.day} {time:%b %Y, %H:%M} UTC"


def day(time: datetime) -> str:
    """Return a date such as `22 Nov 2026`."""
    return f"{time.day} {time:%b %Y}"


def _with_minus(number: str) -> str:
    return "0.0" if number == "-0.0" else number.replace("-", _MINUS)
