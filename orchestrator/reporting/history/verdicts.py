"""Describe the promotion gate's verdict on each condition: in words, and with a small drawing of
the confidence interval.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from orchestrator.reporting.history.facts import GateCondition
from orchestrator.reporting.quantities import count, percent, percent_number

_WIDTH, _HEIGHT, _MARGIN = 120, 14, 6
_SIGNS = {"met": "✓", "violated": "✕", "not met": "✕", "not enough images": "?"}
_CLASSES = {"met": "better", "violated": "worse", "not met": "worse"}


@dataclass(frozen=True)
class VerdictRow:
    """One condition in the table of a gate's conditions.

    Attributes:
        name: The measured quantity, in words.
        measured: The value with its confidence interval, such as `97.6 % (95.0 to 99.1)`.
        bound: The required bound, such as `at least 96.0 %`; empty if there is no bound.
        bar: Drawing of the confidence interval; empty if there is no interval.
        verdict: The verdict in words, with a sign such as `✓`.
        kind: CSS class that colours the verdict; may be empty.
        images: Number of images on which the value was measured. If the condition is undecided, the
            number of additional images that would decide the condition follows. May be empty.
    """

    name: str
    measured: str
    bound: str
    bar: Markup
    verdict: str
    kind: str
    images: str


def verdict_row(condition: GateCondition) -> VerdictRow:
    """Return the table row that shows a condition."""
    return VerdictRow(
        condition.name,
        measured(condition),
        bound(condition),
        _bar(condition),
        f"{_SIGNS.get(condition.verdict, '')} {condition.verdict}".strip(),
        _CLASSES.get(condition.verdict, ""),
        _images(condition),
    )


def verdict_sentence(condition: GateCondition) -> str:
    """Return a condition as text, such as `NAME 97.6 % (95.0 to 99.1), at least 96.0 %: met`."""
    parts = [f"{condition.name} {measured(condition)}", bound(condition)]
    return f"{', '.join(part for part in parts if part)}: {condition.verdict}"


def measured(condition: GateCondition) -> str:
    """Return a condition's measured value with its confidence interval, such as
    `97.6 % (95.0 to 99.1)`.
    """
    value = _quantity(condition, condition.value)
    if condition.lower is None or condition.upper is None:
        return value
    number = percent_number if condition.is_share else _number
    return f"{value} ({number(condition.lower)} to {number(condition.upper)})"


def bound(condition: GateCondition) -> str:
    """Return a condition's required bound, such as `at least 96.0 %`; empty without a bound."""
    if condition.bound is None:
        return ""
    return (
        f"{'at most' if condition.is_upper else 'at least'} {_quantity(condition, condition.bound)}"
    )


def _quantity(condition: GateCondition, value: float) -> str:
    if condition.is_share:
        return percent(value)
    return f"{_number(value)} ms" if "milliseconds" in condition.name else _number(value)


def _number(value: float) -> str:
    return count(round(value)) if value >= 100 or value == round(value) else f"{value:.1f}"


def _images(condition: GateCondition) -> str:
    if condition.num_images is None:
        return ""
    more = condition.more_images
    decides = f"; about {count(more)} more images needed to decide" if more else ""
    return count(condition.num_images) + decides


def _bar(condition: GateCondition) -> Markup:
    """Draw the confidence interval, value and bound of a condition, scaled to the drawing's width.

    The drawing has no numbers, because the table shows the numbers next to the drawing. A condition
    without an interval gives no drawing.
    """
    lower, upper = condition.lower, condition.upper
    if lower is None or upper is None:
        return Markup()
    marks = [lower, upper, condition.value]
    marks += [] if condition.bound is None else [condition.bound]
    least, span = min(marks), (max(marks) - min(marks)) or 1.0

    def x(value: float) -> str:
        return f"{_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - least) / span:.1f}"

    middle = _HEIGHT / 2
    tick = (
        Markup()
        if condition.bound is None
        else Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(
            x(condition.bound), _HEIGHT
        )
    )
    return Markup(
        '<svg class="interval" viewBox="0 0 {0} {1}" width="{0}" height="{1}" aria-hidden="true">'
        '<line x1="{2}" x2="{3}" y1="{4}" y2="{4}"/>{5}<circle cx="{6}" cy="{4}" r="3.5"/></svg>'
    ).format(_WIDTH, _HEIGHT, x(lower), x(upper), middle, tick, x(condition.value))
