"""Configure a search space: the parameters of an experiment that vary, the objective, the searcher
and the budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.addresses import absolute_path
from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    MOST_CHARACTERS,
    MOST_PARAMETERS_SWEPT,
    MOST_SECONDS,
    MOST_SEEDS,
    MOST_TRIALS,
    MOST_WORKERS,
)
from orchestrator.config.constraints import parse_constraint
from orchestrator.config.distributions import ChoiceConfig, DistributionConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.grids import check_grid
from orchestrator.config.objective import (
    METRICS,
    BoundText,
    CostName,
    Metric,
    MetricName,
    Mode,
    metric_text,
)
from orchestrator.config.objectives import check_choice, check_one_number, with_first_metric
from orchestrator.config.schema import problem_with_path
from orchestrator.config.searchers import GridSearchConfig, OptunaSearchConfig, SearcherConfig
from orchestrator.config.trial_schedulers import NoTrialSchedulerConfig, TrialSchedulerConfig

# Settings that a search space may not vary, each with the reason or the alternative.
_NOT_SWEPT = {
    "name": "it names the run",
    "seed": "list seeds instead",
    "execution": "all trials share one cluster",
    "store": "all trials share one store",
    "tracking": "all trials are tracked together",
}


class BudgetConfig(Config):
    """Limits, in addition to the number of trials, after which a sweep starts no more trials."""

    wall_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds since the start of the sweep; null means no limit.",
    )
    worker_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MOST_WORKERS * MOST_SECONDS,
        description="Training seconds, summed over all workers; null means no limit.",
    )


class SearchSpace(Config):
    """Search space that `orchestrator sweep` reads together with an experiment."""

    name: str = Field(
        default="sweep",
        pattern=r"^[\w][\w.\- ]*$",
        max_length=200,
        description="Name shown in MLflow; the default is the name of the file.",
    )
    metric: Metric = Field(
        default="student/average_incremental_accuracy",
        description=(
            "Metric to optimise, measured after the last task; or a mapping from metrics to"
            " weights, for a weighted sum."
        ),
    )
    mode: Literal["max", "min"] = Field(
        default="max", description="Whether to maximise or minimise the metric."
    )
    metrics: dict[MetricName, Mode] | None = Field(
        default=None,
        min_length=2,
        max_length=len(METRICS),
        description=(
            "Several objectives, each with max or min, instead of metric and mode; the result is"
            " a Pareto front. Displays of a single number show the first objective."
        ),
    )
    choose: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Rule that chooses the trial of the front for best.yaml: bounds on metrics and, under"
            " best, the metric that decides; null chooses none."
        ),
    )
    bounds: dict[CostName, BoundText] = Field(
        default_factory=dict,
        description=(
            "Bounds on costs that a configuration must satisfy before it is trained, such as"
            " student/num_parameters: '<= 100000'."
        ),
    )
    split: Literal["validation", "test"] = Field(
        default="validation", description="Images on which the metric is measured."
    )
    parameters: dict[str, DistributionConfig] = Field(
        min_length=1,
        max_length=MOST_PARAMETERS_SWEPT,
        description="Parameters that vary: a distribution for each path in the experiment.",
    )
    constraints: tuple[Annotated[str, Field(max_length=MOST_CHARACTERS)], ...] = Field(
        default=(),
        max_length=MOST_PARAMETERS_SWEPT,
        description="Comparisons that a configuration must satisfy, such as a.b > a.c + 0.1.",
    )
    searcher: SearcherConfig = Field(
        default=OptunaSearchConfig(), description="Algorithm that chooses the configurations."
    )
    trial_scheduler: TrialSchedulerConfig = Field(
        default=NoTrialSchedulerConfig(), description="Algorithm that stops trials early."
    )
    num_trials: int | None = Field(
        default=None,
        ge=1,
        le=MOST_TRIALS,
        description=(
            "Number of configurations to try; null, for a grid only, tries all combinations."
        ),
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_SEEDS,
        description=(
            "Seeds with which each configuration is trained; the mean over the seeds counts. null"
            " means the seed of the experiment."
        ),
    )
    budget: BudgetConfig = Field(
        default=BudgetConfig(), description="Limits after which no more trials start."
    )
    warm_start: Path | None = Field(
        default=None,
        description=(
            "Folder of an earlier sweep whose results initialise the search; null means none."
        ),
    )
    max_concurrent_trials: int | None = Field(
        default=None,
        ge=1,
        le=MOST_WORKERS,
        description=(
            "Largest number of concurrent trials; null means as many as the available resources"
            " allow."
        ),
    )

    @property
    def weights(self) -> dict[str, float]:
        """Return the weight of each metric in the objective."""
        return {self.metric: 1.0} if isinstance(self.metric, str) else self.metric

    @property
    def values_named(self) -> list[object]:
        """Return the values of all parameters of kind `choice`. Such a value may name the kind of
        an extension.
        """
        return [
            value
            for distribution in self.parameters.values()
            if isinstance(distribution, ChoiceConfig)
            for value in distribution.values
        ]

    @property
    def objectives(self) -> dict[str, Mode]:
        """Return the mode ("max" or "min") of each objective, by name. The first objective is
        `metric`.
        """
        return self.metrics or {metric_text(self.metric): self.mode}

    @property
    def metrics_read(self) -> set[str]:
        """Return every metric that the sweep reads from a trial."""
        return set(self.metrics or self.weights)

    @model_validator(mode="before")
    @classmethod
    def _first_of_several(cls, values: object) -> object:
        return with_first_metric(values)

    @model_validator(mode="after")
    def _several_can_be_compared(self) -> SearchSpace:
        if self.metrics is not None:
            check_one_number(self.trial_scheduler.kind, self.metrics)
        if self.choose is not None:
            check_choice(self.choose, self.metrics)
        return self

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
        repeated = sorted(seed for seed, num in Counter(seeds or ()).items() if num > 1)
        if repeated:
            msg = f"{', '.join(map(str, repeated))} is listed more than once; list each seed once"
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
                "num_trials is missing: only a grid ends by itself, searcher.kind ="
                f" {self.searcher.kind} does not; give a number"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_grid_can_be_listed(self) -> SearchSpace:
        if isinstance(self.searcher, GridSearchConfig):
            check_grid(self.parameters)
        return self


def order_of_draws(parameters: Mapping[str, DistributionConfig]) -> list[str]:
    """Return the parameters in an order in which each parameter follows the parameters that its
    `when` names. A parameter moves forward from its given place only if an earlier one needs it.

    Raises:
        ValueError: The conditions are circular.
    """
    order: list[str] = []

    def visit(path: str, dependents: Iterable[str]) -> None:
        chain = [*dependents, path]
        if path in chain[:-1]:
            circle = " → ".join(chain[chain.index(path) :])
            msg = f"the conditions are circular: {circle}; remove one `when`"
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
