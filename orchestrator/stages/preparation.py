"""Prepare the work of experiments: load the images, divide the classes into tasks, and build the
stages.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from orchestrator.config.data import DataConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.image_table import ImageTable
from orchestrator.data.loading import load_images
from orchestrator.data.samples import Progress, ignore_progress
from orchestrator.data.scenario import Scenario
from orchestrator.data.scenario_building import build_scenario
from orchestrator.data.unlabeled import UnlabeledPool
from orchestrator.data.unlabeled_loading import load_unlabeled, pool_beside
from orchestrator.errors import NoImagesError
from orchestrator.methods.facts import uses_unlabeled_images
from orchestrator.stages.graph import learned_stages, stage_graph
from orchestrator.stages.store import StageStore
from orchestrator.stages.work import Work

# Number of scenarios to cache. A sweep needs one scenario for each seed and each variation of its
# data, and its trials use the scenarios in turn. A cache that is too small for all scenarios would
# never have a hit. A scenario takes 8 bytes per image.
MAX_SCENARIOS = 64

_NOT_READ_BY_LOADING = {
    "augmentation",
    "max_image_pixels",
    "max_memory_gib",
    "unlabeled",
    "validation_fraction",
}

Value = TypeVar("Value")


def prepare_work(experiment: Experiment, progress: Progress = ignore_progress) -> Work:
    """Load the images of one experiment, and build its stages. Return both as a `Work`.

    Args:
        experiment: The configuration.
        progress: Receives the progress of decoding the images, unless they are already decoded.

    Raises:
        UserInputError: The data, or the address of the store, cannot be used.
        StorageUnavailableError: The data cache or the store cannot be reached.
    """
    return Preparation().work_of(experiment, progress)


class Preparation:
    """Load the images of many experiments, and build their stages. Experiments with equal settings
    share the loaded images, the scenario, and the check of the backbones.

    Most trials of a sweep have equal data settings, so the trials share one table of images, and
    one scenario with the fingerprints of its images. If images on the disk change later, the change
    is not detected.

    Not thread-safe.
    """

    def __init__(self, max_scenarios: int = MAX_SCENARIOS) -> None:
        """Create an empty cache of images, scenarios and checks of backbones.

        Args:
            max_scenarios: Largest number of scenarios to keep. If there are more, the least
                recently used scenario is dropped. The same limit holds for tables of images and for
                checks.
        """
        self._tables: _Cache[ImageTable] = _Cache(max_scenarios)
        self._scenarios: _Cache[Scenario] = _Cache(max_scenarios)
        self._checked: _Cache[dict[Role, int]] = _Cache(max_scenarios)

    def work_of(self, experiment: Experiment, progress: Progress = ignore_progress) -> Work:
        """Load the images of an experiment, unless they are cached, and build its stages. Return
        both as a `Work`.

        Args:
            experiment: The configuration.
            progress: Receives the progress of decoding the images.

        Raises:
            UserInputError: The data, or the address of the store, cannot be used.
            StorageUnavailableError: The data cache or the store cannot be reached.
        """
        scenario = self.scenario_of(experiment, progress)
        stages, learned = stage_graph(experiment, scenario), learned_stages(experiment, scenario)
        return Work(experiment, scenario, stages, StageStore(experiment.store.uri), learned)

    def scenario_of(self, experiment: Experiment, progress: Progress = ignore_progress) -> Scenario:
        """Return the scenario of an experiment. Experiments that agree in all settings that the
        scenario depends on get the same object.

        Args:
            experiment: The configuration.
            progress: Receives the progress of decoding, as in `prepare_work`.

        Raises:
            UserInputError: The data cannot be used.
            StorageUnavailableError: The data cache cannot be reached.
        """
        data = experiment.data

        def build() -> Scenario:
            table = self._tables.get(loading_reads(data), lambda: load_images(data, progress))
            scenario = build_scenario(
                table, experiment.scenario, data.validation_fraction, experiment.seed
            )
            pool = self._unlabeled_pool(experiment, scenario, progress)
            return replace(scenario, max_bytes=data.max_bytes, unlabeled=pool)

        return self._scenarios.get(scenario_reads(experiment), build)

    def _unlabeled_pool(
        self, experiment: Experiment, scenario: Scenario, progress: Progress
    ) -> UnlabeledPool | None:
        data, unlabeled = experiment.data, experiment.data.unlabeled
        if unlabeled is None or not uses_unlabeled_images(experiment):
            return None
        key = json.dumps([data.shape, str(data.cache_dir), unlabeled.model_dump(mode="json")])
        try:
            table = self._tables.get(key, lambda: load_unlabeled(data, unlabeled, progress))
            return pool_beside(scenario, table)
        except NoImagesError:
            if unlabeled.may_be_empty:
                return None
            raise

    def check_backbones(self, work: Work) -> None:
        """Check that both backbones support the images; equal backbones are checked once.

        Raises:
            ConfigError: A backbone cannot be built, or does not support the shape of the images.
        """
        from orchestrator.stages.backbones import check_backbones  # noqa: PLC0415 - loads torch

        experiment, shape = work.experiment, work.scenario.shape
        backbones = [experiment.backbone_of(role) for role in ROLES]
        key = json.dumps([shape, *(backbone.model_dump(mode="json") for backbone in backbones)])
        self._checked.get(key, lambda: check_backbones(experiment, work.scenario))


def loading_reads(data: DataConfig) -> str:
    """Return, as JSON, the settings that determine how images are loaded."""
    return data.model_dump_json(exclude=_NOT_READ_BY_LOADING)


def scenario_reads(experiment: Experiment) -> str:
    """Return, as JSON, the settings that determine a scenario."""
    tree = {
        "data": experiment.data.model_dump(mode="json", exclude={"augmentation"}),
        "scenario": experiment.scenario.model_dump(mode="json"),
        "seed": experiment.seed,
        "unlabeled": uses_unlabeled_images(experiment),
    }
    return json.dumps(tree)


class _Cache(Generic[Value]):
    """Cache values by key. If there are too many values, drop the least recently used value."""

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """Return the value of a key; make the value if it is missing."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        if len(self._values) > self._max_values:
            self._values.popitem(last=False)
        return self._values[key]
