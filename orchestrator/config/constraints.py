"""Parse the constraints of a search space: comparisons that a configuration must satisfy."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.config.experiment import Experiment
from orchestrator.config.schema import problem_with_path

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_OPERAND = rf"[A-Za-z_][\w.]*|{_NUMBER}"
_CONSTRAINT = re.compile(
    rf"\s*({_OPERAND})\s*({'|'.join(_OPERATORS)})\s*({_OPERAND})\s*(?:([-+])\s*({_NUMBER})\s*)?"
)


@dataclass(frozen=True)
class Constraint:
    """Comparison `LEFT OPERATOR RIGHT + offset`. LEFT and RIGHT are dotted paths of settings, or
    numbers.
    """

    left: str | float
    operator: str
    right: str | float
    offset: float

    @property
    def paths(self) -> list[str]:
        """Return the paths that the constraint compares."""
        return [side for side in (self.left, self.right) if isinstance(side, str)]

    def holds(self, value_of: Mapping[str, float]) -> bool:
        """Return whether the constraint holds for the values in `value_of`, a mapping from path to
        value.
        """
        left, right = (
            value_of[side] if isinstance(side, str) else side for side in (self.left, self.right)
        )
        return _OPERATORS[self.operator](left, right + self.offset)


def parse_constraint(text: str) -> Constraint:
    """Parse a constraint of the form `PATH|number OPERATOR PATH|number [+|- number]`.

    Raises:
        ValueError: The text is not of this form, or names a path that no experiment has.
    """
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        msg = (
            f"{text!r} is not of the form PATH|number {'|'.join(_OPERATORS)} PATH|number [+|-"
            " number]; for example 'a.b > a.c + 0.1'"
        )
        raise ValueError(msg)
    left, sign, right, plus, amount = match.groups()
    offset = (
        float(f"{plus}{abs(float(amount))}") * math.copysign(1, float(amount)) if amount else 0.0
    )
    constraint = Constraint(_operand(left), sign, _operand(right), offset)
    problems = [
        problem for path in constraint.paths if (problem := problem_with_path(Experiment, path))
    ]
    if not constraint.paths:
        problems = ["compares two numbers; name a path"]
    if problems:
        msg = f"{text!r}: {problems[0]}"
        raise ValueError(msg)
    return constraint


def _operand(text: str) -> str | float:
    return float(text) if re.fullmatch(_NUMBER, text) else text
