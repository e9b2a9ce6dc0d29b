"""Reject a search space that does not fit its experiment, before any point is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.config.distributions import ChoiceConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.schema import variants_with
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.tuning.paths import ABSENT, meets, value_at


def check_space(search_space: SearchSpace, experiment: Experiment) -> None:
    """Reject a search space if the experiment may lack one of its parameters, or has no validation
    images on which to measure the objective.

    Args:
        search_space: The parameters to vary.
        experiment: The base experiment.

    Raises:
        ConfigError: Some selectable variants lack a parameter, or there are no validation images.
    """
    _check_validation_data(search_space, experiment)
    variants = _Variants(search_space, experiment)
    for path in search_space.parameters:
        variants.check(path)


def place_of(search_space: SearchSpace) -> str:
    """Return the name of the search space for error messages."""
    return f"search space {search_space.name}"


def _check_validation_data(search_space: SearchSpace, experiment: Experiment) -> None:
    varies = {"data", "data.validation_fraction"} & search_space.parameters.keys()
    if (
        search_space.split == "validation"
        and experiment.data.validation_fraction == 0
        and not varies
    ):
        raise ConfigError(
            "the metric is measured on validation images, but data.validation_fraction = 0 sets"
            " none aside",
            place_of(search_space),
            "raise the fraction in the experiment, or measure with `split: test`",
        )


class _Variants:
    """Variants of an experiment's settings that a space can select, such as kinds of backbones."""

    def __init__(self, search_space: SearchSpace, experiment: Experiment) -> None:
        self._where = place_of(search_space)
        self._parameters = search_space.parameters
        self._tree = experiment.model_dump(mode="json")

    def check(self, path: str) -> None:
        """Reject a parameter if a sweep can select a variant of a setting, such as another kind of
        backbone, that lacks the parameter. With this variant, the values of the parameter would
        have no effect, or would select another variant.
        """
        for kind_path, having in variants_with(Experiment, path).items():
            others = sorted(set(map(str, self._possible(kind_path, path))) - having)
            if others:
                wanted = ", ".join(sorted(having))
                is_swept = kind_path in self._parameters
                advice = (
                    f"add when: {{{kind_path}: [{wanted}]}}"
                    if is_swept
                    else "change the kind in the experiment, or let it vary too"
                )
                raise ConfigError(
                    f"parameters.{path} exists only with {kind_path} = {wanted}, but the kind"
                    f" {'can be' if is_swept else 'is'} {others[0]}",
                    self._where,
                    advice,
                )

    def _possible(self, kind_path: str, path: str) -> Sequence[object]:
        """Return the values that the setting `kind_path` can have when the parameter `path` is
        active.
        """
        union = kind_path.removesuffix(".kind")
        if any(swept == union or union.startswith(f"{swept}.") for swept in self._parameters):
            return []
        distribution = self._parameters.get(kind_path)
        options = (
            distribution.values
            if isinstance(distribution, ChoiceConfig)
            else [value_at(self._tree, kind_path.split("."))]
        )
        return [
            option
            for option in options
            if option is not ABSENT and self._goes_with(kind_path, option, path)
        ]

    def _goes_with(self, kind_path: str, option: object, path: str) -> bool:
        conditions = self._parameters[path].when
        own = kind_path not in conditions or meets(option, conditions[kind_path])
        return own and all(
            self._goes_with(kind_path, option, other)
            for other in conditions
            if other in self._parameters
        )
