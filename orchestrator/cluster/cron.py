"""Validate a schedule by the rules of Kubernetes: five fields as in cron, or a shorthand such as
@daily.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day of the month": (1, 31, ()),
    "month": (1, 12, _MONTHS),
    "day of the week": (0, 6, _DAYS),
}
_EXAMPLE = "write for example '0 3 * * *' (every night at three)"
_PART = re.compile(r"^(?:\*|\?|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?$")


def problem_with_cron(schedule: str) -> Iterator[str]:
    """Yield each reason why a schedule is invalid, as one sentence."""
    if "TZ" in schedule:
        yield (
            f"the schedule {schedule!r} names a time zone; set schedule.time_zone of the cluster"
            " configuration instead"
        )
        return
    if schedule in _SHORTHANDS or re.match(r"^@every (\d+(\.\d+)?(ns|us|ms|s|m|h))+$", schedule):
        return
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        yield f"the schedule {schedule!r} has {len(fields)} fields, not 5; {_EXAMPLE}"
        return
    for text, (name, (low, high, names)) in zip(fields, _FIELDS.items(), strict=True):
        if not all(_is_part(part, low, high, names) for part in text.split(",")):
            yield f"the schedule {schedule!r}: {text!r} is no {name} ({low} to {high}); {_EXAMPLE}"


def _is_part(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    found = _PART.match(part)
    if found is None or found["step"] == "0":
        return False
    bounds = [
        _value(text, low, names) for text in (found["first"], found["last"]) if text is not None
    ]
    return all(bound is not None and low <= bound <= high for bound in bounds) and bounds == sorted(
        bounds, key=lambda bound: bound or 0
    )


def _value(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isdecimal() else None
