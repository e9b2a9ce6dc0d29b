"""Compare configurations with the defaults and with each other, and recognise configurations that
differ only in the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.config import flatten
from orchestrator.config.experiment import Experiment
from orchestrator.config.places import is_place
from orchestrator.reporting.quantities import NOTHING

# Settings that identify a run but do not define its configuration.
_IDENTITY = ("name", "seed")

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """Setting of an experiment, and its value in each of several runs.

    Attributes:
        path: Dotted path of the setting, such as `method.kind`.
        values: One value per run; a dash if the run lacks the setting.
    """

    path: str
    values: tuple[str, ...]

    def is_other(self, place: int) -> bool:
        """Return whether the run at position `place` has another value than the first run."""
        return self.values[place] != self.values[0]


def unlike_defaults(parameters: Parameters) -> list[Setting]:
    """Return the settings of a run that differ from the defaults. Each result has two values: the
    run's value and the default.

    The run's name, its seed, and settings that hold a folder or an address are skipped.
    """
    defaults = flatten(Experiment())
    return [
        Setting(path, (value, defaults.get(path, NOTHING)))
        for path, value in parameters.items()
        if value != defaults.get(path) and not is_place(path) and path not in _IDENTITY
    ]


def differences(configurations: Sequence[Parameters]) -> list[Setting]:
    """Return the settings whose values are not the same in all configurations.

    The order is that of the first configuration; settings that only later configurations have
    follow.
    """
    paths = dict.fromkeys(path for parameters in configurations for path in parameters)
    settings = [
        Setting(path, tuple(parameters.get(path, NOTHING) for parameters in configurations))
        for path in paths
    ]
    return [setting for setting in settings if len(set(setting.values)) > 1]


def same_but_for_the_seed(parameters: Parameters) -> tuple[tuple[str, str], ...]:
    """Return a key to group runs by configuration: two keys are equal if the configurations differ
    only in name, seed, folders and addresses.
    """
    return tuple(
        sorted(
            (path, value)
            for path, value in parameters.items()
            if not is_place(path) and path not in _IDENTITY
        )
    )
