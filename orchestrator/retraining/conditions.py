"""Test the conditions of the gate, and give each condition a verdict.

A condition compares a measured quantity of a candidate with a bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.retraining.statements import Bounds, Statement

_MOST_TIMES = 1024.0
_PRECISION = 1.02


class ConditionVerdict(StrEnum):
    """Outcomes of testing a condition of the gate."""

    MET = "met"
    VIOLATED = "violated"
    UNKNOWN = "not enough images"
    REPORTED = "reported"


@dataclass(frozen=True)
class Condition:
    """One condition of the gate.

    Attributes:
        name: The measured quantity, in words.
        key: Name of the quantity in tags.
        value: The measured value.
        bound: The bound with which the value is compared; None if the value is only reported.
        verdict: Whether the condition holds.
        is_upper: Whether the bound is a maximum instead of a minimum.
        is_share: Whether the value is a fraction, shown in percent.
        lower: Lower confidence bound of the value; None if the value is exact.
        upper: Upper confidence bound of the value; None if the value is exact.
        num_images: Number of images on which the value was measured; None if the value is not
            measured on images.
        more_images: Estimated number of further images that decide the condition. The estimate
            assumes that further images resemble the present ones. None if the condition is already
            decided, or unlikely ever to be decided.
    """

    name: str
    key: str
    value: float
    bound: float | None
    verdict: ConditionVerdict
    is_upper: bool = False
    is_share: bool = True
    lower: float | None = None
    upper: float | None = None
    num_images: int | None = None
    more_images: int | None = None

    @property
    def is_met(self) -> bool:
        """Return whether the condition lets the candidate pass."""
        return self.verdict in (ConditionVerdict.MET, ConditionVerdict.REPORTED)

    @property
    def seems_violated(self) -> bool:
        """Return whether the measured value violates the bound of this condition.

        The uncertainty of the measured value is ignored.
        """
        if self.bound is None:
            return False
        return self.value > self.bound if self.is_upper else self.value < self.bound

    def shown(self, value: float) -> str:
        """Format a value of this condition for people, as a percentage or as a count."""
        if self.is_share:
            return percent(value)
        return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"

    @property
    def measured(self) -> str:
        """Return the value with its confidence bounds as text for people."""
        if self.lower is None or self.upper is None:
            return self.shown(self.value)
        return f"{self.shown(self.value)} ({self.shown(self.lower)} to {self.shown(self.upper)})"

    @property
    def demanded(self) -> str:
        """Return the bound as text for people; empty if the condition has no bound."""
        if self.bound is None:
            return ""
        return f"{'at most' if self.is_upper else 'at least'} {self.shown(self.bound)}"

    def __str__(self) -> str:
        return f"{self.name} {self.measured}" + (f", {self.demanded}" if self.demanded else "")

    def summary(self) -> dict[str, Any]:
        """Return the condition as stored in summary.json and in the registry."""
        return {
            "condition": self.name,
            "key": self.key,
            "value": self.value,
            "measured": self.measured,
            "demanded": self.demanded,
            "lower": self.lower,
            "upper": self.upper,
            "bound": self.bound,
            "is_upper": self.is_upper,
            "is_share": self.is_share,
            "verdict": self.verdict.value,
            "met": self.is_met,
            "num_images": self.num_images,
            "more_images": self.more_images,
        }


def percent(value: float) -> str:
    """Return a fraction in percent, with one decimal."""
    return f"{100 * value:.1f} %"


def exact(
    name: str, key: str, value: float, bound: float | None, *, is_upper: bool = False
) -> Condition:
    """Return a condition on a number that is known exactly, such as a parameter count."""
    verdict = ConditionVerdict.REPORTED
    if bound is not None:
        holds = value <= bound if is_upper else value >= bound
        verdict = ConditionVerdict.MET if holds else ConditionVerdict.VIOLATED
    return Condition(name, key, value, bound, verdict, is_upper=is_upper, is_share=False)


@dataclass(frozen=True)
class Judge:
    """Decides by statistical tests whether measured quantities of a candidate keep their bounds.

    Attributes:
        risk: Largest probability with which a single test may give a wrong verdict.
    """

    risk: float

    def at_least(
        self, name: str, key: str, statement: Statement, bound: float, num_images: int
    ) -> Condition:
        """Test whether a measured quantity is at least a bound, and return the condition."""
        return self._held_against(name, key, statement, bound, num_images, is_upper=False)

    def at_most(
        self, name: str, key: str, statement: Statement, bound: float, num_images: int
    ) -> Condition:
        """Test whether a measured quantity is at most a bound, and return the condition."""
        return self._held_against(name, key, statement, bound, num_images, is_upper=True)

    def _held_against(
        self,
        name: str,
        key: str,
        statement: Statement,
        bound: float,
        num_images: int,
        *,
        is_upper: bool,
    ) -> Condition:
        found = statement.bounds(self.risk)
        verdict = _verdict(found, bound, is_upper)
        more = None
        if verdict == ConditionVerdict.UNKNOWN:
            factor = _deciding_factor(statement, bound, self.risk, is_upper)
            more = None if factor is None else math.ceil((factor - 1) * num_images)
        return Condition(
            name,
            key,
            found.value,
            bound,
            verdict,
            is_upper=is_upper,
            lower=found.lower,
            upper=found.upper,
            num_images=num_images,
            more_images=more,
        )


def _verdict(found: Bounds, bound: float, is_upper: bool) -> ConditionVerdict:
    if is_upper:
        met, violated = found.upper <= bound, found.lower > bound
    else:
        met, violated = found.lower >= bound, found.upper < bound
    if met:
        return ConditionVerdict.MET
    return ConditionVerdict.VIOLATED if violated else ConditionVerdict.UNKNOWN


def _deciding_factor(
    statement: Statement, bound: float, risk: float, is_upper: bool
) -> float | None:
    """Return the factor by which the number of images must grow to decide a condition.

    The condition compares the statement (a measured quantity) with a bound. The factor assumes that
    further images give the same result. Return None if a factor of about a thousand is not enough.
    """

    def decides(factor: float) -> bool:
        found = statement.bounds(risk, factor)
        return _verdict(found, bound, is_upper) != ConditionVerdict.UNKNOWN

    enough = 2.0
    while not decides(enough):
        enough *= 2
        if enough > _MOST_TIMES:
            return None
    too_few = enough / 2
    while enough / too_few > _PRECISION:
        middle = math.sqrt(enough * too_few)
        if decides(middle):
            enough = middle
        else:
            too_few = middle
    return enough
