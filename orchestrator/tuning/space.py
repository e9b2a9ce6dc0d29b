"""The points of a search space on one experiment: which there are, what each means, and which are
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestrator.config.constraints import Constraint, parse_constraint
from orchestrator.config.distributions import AscendingConfig, ChoiceConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.config.schema import variants_with
from orchestrator.config.search_space import SearchSpace, order_of_draws
from orchestrator.errors import ConfigError
from orchestrator.tuning.dimensions import (
    Dimension,
    Draws,
    dimensions_of,
    grid_of,
    in_order,
    lies_in,
    value_of,
)

MAX_REFUSALS = 1000

Draw = Callable[[str, Dimension], Any]

_ABSENT = object()


@dataclass(frozen=True)
class Configuration:
    """One point of a search space.

    Attributes:
        draws: What was drawn, by name of the primitive dimension: plain JSON values.
        parameters: What it means, by path in the experiment: plain JSON values. Only the parameters
            that are active.
    """

    draws: dict[str, Any]
    parameters: dict[str, Any]


class Space:
    """A search space laid over an experiment.

    Args:
        search_space: What varies.
        experiment: What stays as it is.

    Raises:
        ConfigError: The experiment has not what is varied, no validation images to measure on, or
            no number to compare.
    """

    def __init__(self, search_space: SearchSpace, experiment: Experiment) -> None:
        self.search_space = search_space
        self.experiment = experiment
        self._where = f"search space {search_space.name}"
        self._parameters = search_space.parameters
        self._order = order_of_draws(search_space.parameters)
        self._constraints = [(text, parse_constraint(text)) for text in search_space.constraints]
        self._tree = experiment.model_dump(mode="json")
        self._check_validation_data()
        for path in self._parameters:
            self._check_variants(path)
        for _, constraint in self._constraints:
            self._numbers(constraint, self._tree)

    def draw(self, draw: Draw) -> Draws:
        """Draws a point, dimension after dimension; those of parameters whose conditions do not
        hold are left out.

        Args:
            draw: Gives the value of a dimension, by its name.
        """
        return self._point(draw).draws

    def dimensions(self, draws: Mapping[str, Any]) -> dict[str, Dimension]:
        """The dimensions that are active at a point, by name."""
        found: dict[str, Dimension] = {}

        def note(name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
            found[name] = dimension
            return draws[name]

        self._point(note)
        return found

    def contains(self, draws: Mapping[str, Any]) -> bool:
        """Whether a point, perhaps drawn before the space was changed, is one of this space."""

        def drawn(name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
            if not lies_in(dimension, draws.get(name)):
                raise KeyError(name)
            return draws[name]

        try:
            return self._point(drawn).draws.keys() == draws.keys()
        except KeyError:
            return False

    def configuration_of(self, draws: Mapping[str, Any]) -> Configuration | None:
        """The point with its meaning; None where it is refused: by a constraint, or because the
        experiment would be invalid.
        """
        point = self._point(lambda name, _: draws[name])
        return None if self._refusal(point) else point

    def experiment_of(self, parameters: Mapping[str, Any], seed: int | None = None) -> Experiment:
        """The complete experiment of a configuration.

        Args:
            parameters: By path.
            seed: Instead of the experiment's own; None leaves it.

        Raises:
            ConfigError: The experiment is invalid with these values.
        """
        return with_values(
            self.experiment, {**parameters, **({} if seed is None else {"seed": seed})}
        )

    def experiments_of(self, parameters: Mapping[str, Any]) -> list[Experiment]:
        """The complete experiments of a configuration, one for each seed of the search space.

        Raises:
            ConfigError: They are invalid with these values.
        """
        seeds: tuple[int | None, ...] = self.search_space.seeds or (None,)
        return [self.experiment_of(parameters, seed) for seed in seeds]

    def grid(self) -> Iterator[Configuration]:
        """Every configuration that is not refused, the last parameter fastest.

        Raises:
            ConfigError: All are refused.
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
        """The error that nothing but refused points could be found.

        Args:
            draws: The last one.
            which: How many or which were refused.
        """
        reason = self._refusal(self._point(lambda name, _: draws[name]))
        return ConfigError(
            f"{which} was refused, the last because: {reason}",
            self._where,
            "change the ranges or the constraints",
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
            _meets(self._value_at(condition, values), wanted)
            for condition, wanted in self._parameters[path].when.items()
        )

    def _value_at(self, path: str, values: Mapping[str, Any]) -> object:
        """What a path has: as drawn, where it or something around it varies, or else as in the
        experiment.
        """
        keys = path.split(".")
        for depth in range(len(keys), 0, -1):
            swept = ".".join(keys[:depth])
            if swept in self._parameters:
                return _found(values.get(swept, _ABSENT), keys[depth:])
        return _found(self._tree, keys)

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
        """Why a point is refused; empty when it is not."""
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

    def _numbers(self, constraint: Constraint, tree: object) -> dict[str, float]:
        """What a constraint compares, without what the chosen variants do not have."""
        numbers = {}
        for path in constraint.paths:
            value = _found(tree, path.split("."))
            if value is _ABSENT:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(
                    f"a constraint compares {path} = {value!r}, which is no number",
                    self._where,
                    "name another path",
                )
            numbers[path] = float(value)
        return numbers

    def _check_validation_data(self) -> None:
        varies = {"data", "data.validation_fraction"} & self._parameters.keys()
        if (
            self.search_space.split == "validation"
            and self.experiment.data.validation_fraction == 0
            and not varies
        ):
            raise ConfigError(
                "the metric is measured on validation images, and data.validation_fraction = 0 sets"
                " none aside",
                self._where,
                "raise it in the experiment, or measure with `split: test`",
            )

    def _check_variants(self, path: str) -> None:
        """Refuses a parameter that not every variant has that can be chosen with it: its draws
        would decide nothing, or the variant.
        """
        for kind_path, having in variants_with(Experiment, path).items():
            others = sorted(set(map(str, self._possible(kind_path, path))) - having)
            if others:
                wanted = ", ".join(sorted(having))
                is_swept = kind_path in self._parameters
                advice = (
                    f"add when: {{{kind_path}: [{wanted}]}}"
                    if is_swept
                    else "change it in the experiment, or let it vary too"
                )
                raise ConfigError(
                    f"parameters.{path} is there with {kind_path} = {wanted} only, and it"
                    f" {'can be' if is_swept else 'is'} {others[0]}",
                    self._where,
                    advice,
                )

    def _possible(self, kind_path: str, path: str) -> Sequence[object]:
        """Which values of `kind_path` go with a parameter that is active."""
        union = kind_path.removesuffix(".kind")
        if any(swept == union or union.startswith(f"{swept}.") for swept in self._parameters):
            return []
        distribution = self._parameters.get(kind_path)
        options = (
            distribution.values
            if isinstance(distribution, ChoiceConfig)
            else [_found(self._tree, kind_path.split("."))]
        )
        return [
            option
            for option in options
            if option is not _ABSENT and self._goes_with(kind_path, option, path)
        ]

    def _goes_with(self, kind_path: str, option: object, path: str) -> bool:
        conditions = self._parameters[path].when
        own = kind_path not in conditions or _meets(option, conditions[kind_path])
        return own and all(
            self._goes_with(kind_path, option, other)
            for other in conditions
            if other in self._parameters
        )


def _found(tree: object, keys: Sequence[str]) -> object:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return _ABSENT
        tree = tree[key]
    return tree


def _meets(value: object, wanted: object) -> bool:
    return value == wanted or (isinstance(wanted, list) and value in wanted)
