"""A search space: which parameters of an experiment vary and how, what is made best, by which
search, within which budget.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator, field_validator, model_validator

from orchestrator.config.addresses import absolute_path
from orchestrator.config.base import Config
from orchestrator.config.distributions import ENUMERABLE, DistributionConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.config.schema import problem_with_path

MEASURE_NAMES = ("last_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
METRICS = tuple(f"{role}/{measure}" for role, measure in product(ROLES, MEASURE_NAMES))
# What says who a run is and where it is kept and computed is the same for all trials.
_NOT_SWEPT = {
    "name": "it is the run's name",
    "seed": "list seeds instead",
    "execution": "all trials share one cluster",
    "store": "all trials share one store",
    "tracking": "all trials are tracked together",
}

# --- searchers and trial schedulers ---------------------------------------------------------------


class RandomSearchConfig(Config):
    """Every configuration drawn by itself."""

    kind: Literal["random"] = "random"
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Equal seeds draw equal configurations."
    )


class GridSearchConfig(Config):
    """Every combination of choices, integers and steps, the last parameter fastest."""

    kind: Literal["grid"] = "grid"


class OptunaSearchConfig(Config):
    """Tree-structured Parzen estimator: new configurations where the good ones have been so far."""

    kind: Literal["optuna"] = "optuna"
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Equal seeds and equal results draw equal configurations.",
    )
    num_startup_trials: int = Field(
        default=10, ge=1, description="Trials drawn at random before the estimator takes over."
    )


SearcherConfig = Annotated[
    RandomSearchConfig | GridSearchConfig | OptunaSearchConfig, Field(discriminator="kind")
]


class NoTrialSchedulerConfig(Config):
    """Every trial learns all tasks."""

    kind: Literal["none"] = "none"


class AshaConfig(Config):
    """Successive halving without waiting: at each rung only the best go on."""

    kind: Literal["asha"] = "asha"
    grace_tasks: int = Field(
        default=2, ge=1, description="Tasks that every trial learns; the first rung."
    )
    reduction_factor: int = Field(
        default=2,
        ge=2,
        description="One in so many goes on at a rung; from rung to rung the tasks multiply by it.",
    )


class MedianConfig(Config):
    """A trial ends when it is worse than the median of the others after as many tasks."""

    kind: Literal["median"] = "median"
    grace_tasks: int = Field(default=2, ge=1, description="Tasks that every trial learns.")
    min_trials: int = Field(
        default=3, ge=1, description="Trials that must have come as far before one is judged."
    )


class PbtConfig(Config):
    """Population-based training: now and then the worst go over to variations of the best."""

    kind: Literal["pbt"] = "pbt"
    perturbation_tasks: int = Field(default=1, ge=1, description="Tasks between two comparisons.")
    quantile_fraction: float = Field(
        default=0.25, gt=0, le=0.5, description="Share of trials that are worst, and that are best."
    )
    resample_probability: float = Field(
        default=0.25, ge=0, le=1, description="How often a variation draws a value anew."
    )


TrialSchedulerConfig = Annotated[
    NoTrialSchedulerConfig | AshaConfig | MedianConfig | PbtConfig, Field(discriminator="kind")
]


class BudgetConfig(Config):
    """When a sweep starts no more trials, beside their number."""

    wall_seconds: float | None = Field(
        default=None, gt=0, description="Seconds since the sweep began; null means no limit."
    )
    worker_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds that all workers have learned; null means no limit.",
    )


# --- constraints ----------------------------------------------------------------------------------

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
    """`LEFT OPERATOR RIGHT + offset`, where LEFT and RIGHT are paths or numbers."""

    left: str | float
    operator: str
    right: str | float
    offset: float

    @property
    def paths(self) -> list[str]:
        """The paths that it compares."""
        return [side for side in (self.left, self.right) if isinstance(side, str)]

    def holds(self, value_of: Mapping[str, float]) -> bool:
        """Whether it does with these values, by path."""
        left, right = (
            value_of[side] if isinstance(side, str) else side for side in (self.left, self.right)
        )
        return _OPERATORS[self.operator](left, right + self.offset)


def parse_constraint(text: str) -> Constraint:
    """Reads `PATH|number OPERATOR PATH|number [+|- number]`.

    Raises:
        ValueError: It is not of that form, or names a path that no experiment has.
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


# --- the whole ------------------------------------------------------------------------------------


def _metric(value: object) -> str | dict[str, float]:
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, dict) or not weights:
        msg = f"{value!r} is neither the name of a metric nor a mapping of names to weights"
        raise ValueError(msg)
    for name, weight in weights.items():
        if name not in METRICS:
            nearest = difflib.get_close_matches(str(name), METRICS, n=1)
            advice = (
                f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(METRICS)}"
            )
            msg = f"{name!r} is not a metric that trials report; {advice}"
            raise ValueError(msg)
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not math.isfinite(weight)
            or weight == 0
        ):
            msg = f"{name} has the weight {weight!r}; give a finite number other than 0"
            raise ValueError(msg)
    return (
        value
        if isinstance(value, str)
        else {name: float(weight) for name, weight in weights.items()}
    )


class SearchSpace(Config):
    """What `orchestrator sweep` reads, beside an experiment."""

    name: str = Field(
        default="sweep",
        pattern=r"^[\w][\w.\- ]*$",
        max_length=200,
        description="Shown in MLflow; the file's own name where it has none.",
    )
    metric: Annotated[
        str | dict[str, float], PlainValidator(_metric), PlainSerializer(lambda metric: metric)
    ] = Field(
        default="student/average_incremental_accuracy",
        description="What is made best at the end of the tasks; or metrics with weights.",
    )
    mode: Literal["max", "min"] = Field(
        default="max", description="Whether large or small is good."
    )
    split: Literal["validation", "test"] = Field(
        default="validation", description="Images on which the metric is measured."
    )
    parameters: dict[str, DistributionConfig] = Field(
        min_length=1, description="By path in the experiment: how each varies."
    )
    constraints: tuple[str, ...] = Field(
        default=(), description="Comparisons that a configuration must meet: a.b > a.c + 0.1."
    )
    searcher: SearcherConfig = Field(
        default=OptunaSearchConfig(), description="How configurations are chosen."
    )
    trial_scheduler: TrialSchedulerConfig = Field(
        default=NoTrialSchedulerConfig(), description="Which trials go on."
    )
    num_trials: int | None = Field(
        default=None, ge=1, description="Configurations to try; null, with grid: all combinations."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Seeds with which each configuration learns, their mean counts; null means the"
            " experiment's."
        ),
    )
    budget: BudgetConfig = Field(default=BudgetConfig(), description="When no more trials start.")
    warm_start: Path | None = Field(
        default=None, description="Folder of an earlier sweep whose results the search begins with."
    )
    max_concurrent_trials: int | None = Field(
        default=None, ge=1, description="Trials at once; null means as many as fit."
    )

    @property
    def weights(self) -> dict[str, float]:
        """Each metric's weight in the objective."""
        return {self.metric: 1.0} if isinstance(self.metric, str) else self.metric

    @field_validator("searcher", "trial_scheduler", mode="before")
    @classmethod
    def _by_its_kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("parameters")
    @classmethod
    def _paths_are_an_experiments(
        cls, parameters: dict[str, DistributionConfig]
    ) -> dict[str, DistributionConfig]:
        problems = [problem for path in parameters if (problem := _problem_with_parameter(path))]
        for path, distribution in parameters.items():
            found = [problem_with_path(Experiment, condition) for condition in distribution.when]
            problems += [f"{path}: when: {problem}" for problem in found if problem]
        if not problems:
            order_of_draws(parameters)
        if problems:
            raise ValueError("\n".join(problems))
        return parameters

    @field_validator("constraints")
    @classmethod
    def _constraints_are_comparisons(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for text in constraints:
            parse_constraint(text)
        return constraints

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        repeated = sorted({seed for seed in seeds or () if (seeds or ()).count(seed) > 1})
        if repeated:
            msg = (
                f"{', '.join(map(str, repeated))} stands there more than once; name each seed once"
            )
            raise ValueError(msg)
        return seeds

    @field_validator("warm_start")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return None if folder is None else absolute_path(folder)

    @model_validator(mode="after")
    def _ends(self) -> SearchSpace:
        if self.num_trials is None and not isinstance(self.searcher, GridSearchConfig):
            msg = (
                "num_trials is missing: only a grid has an end of its own, searcher.kind ="
                f" {self.searcher.kind} has none; give a number"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_grid_can_be_listed(self) -> SearchSpace:
        endless = {
            path: at for path, at in self.parameters.items() if not isinstance(at, ENUMERABLE)
        }
        if isinstance(self.searcher, GridSearchConfig) and endless:
            msg = "\n".join(
                f"parameters.{path}: a grid cannot list the values of {distribution.kind}; "
                "use choice, int_uniform or quantized_uniform, or another searcher"
                for path, distribution in endless.items()
            )
            raise ValueError(msg)
        return self


def metric_text(metric: str | Mapping[str, float]) -> str:
    """`student/forgetting`, or `0.5 * student/last_accuracy - 0.2 * student/forgetting`."""
    if isinstance(metric, str):
        return metric
    terms = [
        f"{'+' if weight > 0 else '-'} {abs(weight):g} * {name}" for name, weight in metric.items()
    ]
    return " ".join(terms).removeprefix("+ ")


def rank_key(value: float, number: int, mode: str) -> tuple[float, int]:
    """Sorts trials: the best first, of equal ones the one that began first.

    Args:
        value: The trial's objective.
        number: The trial's.
        mode: "max" or "min": which objective is best.
    """
    return (-value if mode == "max" else value), number


def order_of_draws(parameters: Mapping[str, DistributionConfig]) -> list[str]:
    """The parameters in an order in which each comes after those on which it depends by `when`,
    else as they stand.

    Raises:
        ValueError: Some depend on each other in a circle.
    """
    order: list[str] = []

    def visit(path: str, dependents: Iterable[str]) -> None:
        chain = [*dependents, path]
        if path in chain[:-1]:
            circle = " → ".join(chain[chain.index(path) :])
            msg = f"the conditions go in a circle: {circle}; remove one `when`"
            raise ValueError(msg)
        if path not in order:
            for other in parameters:
                if any(
                    condition == other or condition.startswith(f"{other}.")
                    for condition in parameters[path].when
                ):
                    visit(other, chain)
            order.append(path)

    for path in parameters:
        visit(path, [])
    return order


def _problem_with_parameter(path: str) -> str | None:
    root = path.partition(".")[0]
    if root in _NOT_SWEPT:
        return f"{path} cannot vary between trials: {_NOT_SWEPT[root]}"
    return problem_with_path(Experiment, path)
