"""Combine a search space with one experiment: draw points, translate them to configurations, and
reject invalid points.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

from orchestrator.config.constraints import Constraint, parse_constraint
from orchestrator.config.distributions import AscendingConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.objective import COSTS, parse_bound
from orchestrator.config.overrides import with_values
from orchestrator.config.search_space import SearchSpace, order_of_draws
from orchestrator.errors import ConfigError
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.dimensions import (
    Dimension,
    Draws,
    dimensions_of,
    grid_of,
    in_order,
    lies_in,
    value_of,
)
from orchestrator.tuning.paths import ABSENT, meets, value_at
from orchestrator.tuning.space_checks import check_space, place_of

MAX_REFUSALS = 1000

Draw = Callable[[str, Dimension], Any]
CostsOf = Callable[[Experiment, Collection[str]], Mapping[str, float]]
"""Computes the named costs, such as `student/num_parameters`, of networks before training."""


class Space:
    """A search space that is applied to one experiment.

    Args:
        search_space: The parameters to vary.
        experiment: The base experiment.
        costs_of: Computes the costs that bounds and objectives refer to; by default, `CostsAhead`.

    Raises:
        ConfigError: The experiment lacks a varied parameter, a number that a constraint compares,
            or validation images on which to measure the objective.
    """

    def __init__(
        self, search_space: SearchSpace, experiment: Experiment, costs_of: CostsOf | None = None
    ) -> None:
        self.search_space = search_space
        self.experiment = experiment
        self._where = place_of(search_space)
        self._parameters = search_space.parameters
        self._order = order_of_draws(search_space.parameters)
        self._constraints = [(text, parse_constraint(text)) for text in search_space.constraints]
        self._tree = experiment.model_dump(mode="json")
        self._costs_of = costs_of
        self._bounds = {name: parse_bound(text) for name, text in search_space.bounds.items()}
        self._accepted: set[str] = set()
        self._costs_read = search_space.metrics_read.intersection(COSTS) | self._bounds.keys()
        check_space(search_space, experiment)
        for _, constraint in self._constraints:
            self._numbers(constraint, self._tree)

    def draw(self, draw: Draw) -> Draws:
        """Draw a point, one dimension after another; skip parameters whose conditions do not hold.

        Args:
            draw: Returns the value of a dimension, given its name.
        """
        return self._point(draw).draws

    def dimensions(self, draws: Mapping[str, Any]) -> dict[str, Dimension]:
        """Return the dimensions that are active at a point, by name."""
        found: dict[str, Dimension] = {}

        def note(name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
            found[name] = dimension
            return draws[name]

        self._point(note)
        return found

    def contains(self, draws: Mapping[str, Any]) -> bool:
        """Return whether a point, possibly drawn from an earlier space, lies in this space."""

        def drawn(name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
            if not lies_in(dimension, draws.get(name)):
                raise KeyError(name)
            return draws[name]

        try:
            return self._point(drawn).draws.keys() == draws.keys()
        except KeyError:
            return False

    def configuration_of(
        self, draws: Mapping[str, Any], *, is_bounded: bool = True
    ) -> Configuration | None:
        """Return the configuration of a point; None if a constraint or a bound rejects the point,
        or the experiment would be invalid.

        Args:
            draws: Drawn values of the point's dimensions, by name.
            is_bounded: Whether to check bounds; False for points of earlier trials.
        """
        point = self._point(lambda name, _: draws[name])
        is_refused = self._refusal(point) or (is_bounded and self._excess(point))
        return None if is_refused else point

    def experiment_of(self, parameters: Mapping[str, Any], seed: int | None = None) -> Experiment:
        """Return the complete experiment of a configuration.

        Args:
            parameters: Values of the configuration, by path.
            seed: Seed of the returned experiment; None for the seed of the base experiment.

        Raises:
            ConfigError: The experiment is invalid with these values.
        """
        return with_values(
            self.experiment, {**parameters, **({} if seed is None else {"seed": seed})}
        )

    def experiments_of(self, parameters: Mapping[str, Any]) -> list[Experiment]:
        """Return the complete experiments of a configuration, one for each seed of the space.

        Raises:
            ConfigError: The experiments are invalid with these values.
        """
        seeds: tuple[int | None, ...] = self.search_space.seeds or (None,)
        return [self.experiment_of(parameters, seed) for seed in seeds]

    def known_of(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Return those costs of a configuration's networks, such as `student/num_parameters`, that
        the objectives read. Such costs are known before training.

        Raises:
            UserInputError: Backbones or data cannot be used, or the method cannot build its
                networks before training.
            StorageUnavailableError: The data cache or the store cannot be reached.
        """
        names = self.search_space.metrics_read.intersection(COSTS)
        return dict(self._costs(self.experiment_of(parameters), names)) if names else {}

    def grid(self) -> Iterator[Configuration]:
        """Yield every configuration that is not rejected; the last parameter varies fastest.

        Raises:
            ConfigError: All configurations are rejected.
        """
        num_given, draws = 0, {}
        for draws in self._combinations(0, {}):
            configuration = self.configuration_of(draws)
            if configuration is not None:
                num_given += 1
                yield configuration
        if not num_given:
            raise self.no_configuration(draws, "every combination")

    def no_configuration(self, draws: Mapping[str, Any], which: str) -> ConfigError:
        """Return the error for a search in which every point was rejected.

        Args:
            draws: Drawn values of the last point's dimensions, by name.
            which: Description of the rejected points, for the message.
        """
        point = self._point(lambda name, _: draws[name])
        reason = self._refusal(point) or self._excess(point)
        return ConfigError(
            f"{which} was rejected, the last because: {reason}",
            self._where,
            "change the ranges, the constraints or the bounds",
        )

    def _point(self, draw: Draw) -> Configuration:
        draws: Draws = {}
        values: dict[str, Any] = {}
        for path in self._order:
            distribution = self._parameters[path]
            if self._is_active(path, values):
                drawn = {
                    name: draw(name, dimension)
                    for name, dimension in dimensions_of(path, distribution).items()
                }
                drawn = in_order(path, distribution, drawn)
                draws |= drawn
                values[path] = value_of(path, distribution, drawn)
        return Configuration(
            draws, {path: values[path] for path in self._parameters if path in values}
        )

    def _is_active(self, path: str, values: Mapping[str, Any]) -> bool:
        return all(
            meets(self._value_at(condition, values), wanted)
            for condition, wanted in self._parameters[path].when.items()
        )

    def _value_at(self, path: str, values: Mapping[str, Any]) -> object:
        """Return the value at a path. If the path, or a path above it, is a varied parameter, the
        value comes from `values`, otherwise from the experiment.
        """
        keys = path.split(".")
        for depth in range(len(keys), 0, -1):
            swept = ".".join(keys[:depth])
            if swept in self._parameters:
                return value_at(values.get(swept, ABSENT), keys[depth:])
        return value_at(self._tree, keys)

    def _combinations(self, index: int, draws: Draws) -> Iterator[Draws]:
        if index == len(self._order):
            yield draws
            return
        path = self._order[index]
        known = {
            at: value_of(at, self._parameters[at], draws)
            for at in self._order[:index]
            if at in draws
        }
        options = grid_of(path, self._parameters[path]) if self._is_active(path, known) else [{}]
        for drawn in options:
            yield from self._combinations(index + 1, draws | drawn)

    def _refusal(self, point: Configuration) -> str:
        """Return why a point is rejected; empty if it is accepted.

        The result for an accepted point is cached, because a sweep checks a point when it is drawn,
        when its trial has ended, and for the report.
        """
        key = json.dumps(point.parameters, sort_keys=True)
        refusal = "" if key in self._accepted else self._new_refusal(point)
        if not refusal:
            self._accepted.add(key)
        return refusal

    def _new_refusal(self, point: Configuration) -> str:
        for path, values in point.parameters.items():
            if isinstance(self._parameters[path], AscendingConfig) and any(
                lower == upper for lower, upper in pairwise(values)
            ):
                return f"{path} = {values} does not ascend"
        try:
            tree = self.experiment_of(point.parameters).model_dump(mode="json")
        except ConfigError as error:
            return str(error)
        for text, constraint in self._constraints:
            numbers = self._numbers(constraint, tree)
            if len(numbers) == len(set(constraint.paths)) and not constraint.holds(numbers):
                return (
                    f"{text} does not hold with"
                    f" {', '.join(f'{path} = {number:g}' for path, number in numbers.items())}"
                )
        return ""

    def _excess(self, point: Configuration) -> str:
        """Return which bound the costs of a point violate, or why the costs cannot be computed;
        empty if the costs are within all bounds.
        """
        names = self._costs_read
        try:
            costs = self._costs(self.experiment_of(point.parameters), names) if names else {}
        except ConfigError as error:
            return str(error)
        for name, bound in self._bounds.items():
            if not bound.holds(costs[name]):
                text = f"{bound.comparison} {bound.number:,.10g}"
                return f"bounds: {name} {text} does not hold, it would be {costs[name]:,.10g}"
        return ""

    def _costs(self, experiment: Experiment, names: Collection[str]) -> Mapping[str, float]:
        if self._costs_of is None:
            from orchestrator.stages import Preparation  # noqa: PLC0415 - loads torch, and most spaces have no bounds
            from orchestrator.stages.costs_ahead import CostsAhead  # noqa: PLC0415 - as above

            self._costs_of = CostsAhead(Preparation()).of
        return self._costs_of(experiment, names)

    def _numbers(self, constraint: Constraint, tree: object) -> dict[str, float]:
        """Return the numbers that a constraint compares, by path. The result omits paths that do
        not exist in the chosen variants of the experiment.
        """
        numbers = {}
        for path in constraint.paths:
            value = value_at(tree, path.split("."))
            if value is ABSENT:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(
                    f"a constraint compares {path} = {value!r}, which is not a number",
                    self._where,
                    "name another path",
                )
            numbers[path] = float(value)
        return numbers
