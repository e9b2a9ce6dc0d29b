"""Configurations side by side: what differs from the defaults, between runs, or only by the
seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.config import flatten
from orchestrator.config.experiment import Experiment
from orchestrator.config.places import is_place
from orchestrator.reporting.quantities import NOTHING

# Who a run is.
_IDENTITY = ("name", "seed")

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a configuration.

    Attributes:
        path: Dotted.
        values: One a run; a dash where a run has no such setting.
    """

    path: str
    values: tuple[str, ...]

    def is_other(self, place: int) -> bool:
        """Whether the value of the run at this place is not the first one's."""
        return self.values[place] != self.values[0]


def unlike_defaults(parameters: Parameters) -> list[Setting]:
    """What somebody has chosen: each setting that is not the default (its second value), places and
    identity left out.
    """
    defaults = flatten(Experiment())
    return [
        Setting(path, (value, defaults.get(path, NOTHING)))
        for path, value in parameters.items()
        if value != defaults.get(path) and not is_place(path) and path not in _IDENTITY
    ]


def differences(configurations: Sequence[Parameters]) -> list[Setting]:
    """The settings that are not the same everywhere, in the order of the first configuration that
    has them.
    """
    paths = dict.fromkeys(path for parameters in configurations for path in parameters)
    settings = [
        Setting(path, tuple(parameters.get(path, NOTHING) for parameters in configurations))
        for path in paths
    ]
    return [setting for setting in settings if len(set(setting.values)) > 1]


def same_but_for_the_seed(parameters: Parameters) -> tuple[tuple[str, str], ...]:
    """Equal for two configurations that differ only in seed, name and places."""
    return tuple(
        sorted(
            (path, value)
            for path, value in parameters.items()
            if not is_place(path) and path not in _IDENTITY
        )
    )
