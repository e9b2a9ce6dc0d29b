"""Describe unlabelled images: their sizes, their problems, and the images that a run would use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from orchestrator.config.experiment import Experiment
from orchestrator.config.unlabeled import UnlabeledConfig
from orchestrator.data import ImageTable
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import Progress, ignore_progress, in_threads
from orchestrator.data.scenario_building import build_scenario
from orchestrator.data.sources.unlabeled.source import open_unlabeled
from orchestrator.data.survey import BadImage, examine
from orchestrator.data.unlabeled import UnlabeledPool
from orchestrator.data.unlabeled_loading import load_unlabeled, pool_beside
from orchestrator.errors import DataError


@dataclass
class UnlabeledDescription:
    """Description of unlabelled images.

    Attributes:
        name: Name of the images' source.
        sizes: Number of usable images, by (width, height).
        modes: Number of usable images, by Pillow's image mode, such as `RGB`.
        bad: Images that cannot be used.
        pool: The images that a run would use, and the number of images that a run would skip; None
            if a run would use no images.
        refusal: Why a run would use no unlabelled images; empty if a run would use some, or cannot
            use the labelled images.
    """

    name: str
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    bad: list[BadImage] = field(default_factory=list)
    pool: UnlabeledPool | None = None
    refusal: str = ""

    @property
    def num_images(self) -> int:
        """Return the number of images, usable or not."""
        return self.sizes.total() + len(self.bad)


def describe_unlabeled(
    experiment: Experiment, table: ImageTable | None, progress: Progress = ignore_progress
) -> UnlabeledDescription | None:
    """Examine every unlabelled image of an experiment.

    Args:
        experiment: The experiment.
        table: The experiment's labelled images, decoded; None if a run cannot use them.
        progress: Receives the number of processed images.

    Returns:
        The description; None if the experiment names no unlabelled images.

    Raises:
        UserInputError: There are no images.
        StorageUnavailableError: The data cache cannot be written, or object storage does not
            answer.
    """
    unlabeled = experiment.data.unlabeled
    if unlabeled is None:
        return None
    source = open_unlabeled(unlabeled, experiment.data.cache_dir)
    found = UnlabeledDescription(source.name)
    limits = ImageLimits(experiment.data.max_image_pixels)
    look = partial(examine, half="train", shape=experiment.data.shape, limits=limits)
    for number, image in enumerate(in_threads(look, source.samples()), start=1):
        progress(number, source.num_images)
        if isinstance(image, BadImage):
            found.bad.append(image)
            continue
        found.sizes[image.facts.width, image.facts.height] += 1
        found.modes[image.facts.mode] += 1
    if table is not None:
        try:
            found.pool = _pool(experiment, unlabeled, table, progress)
        except DataError as error:
            found.refusal = str(error)
    return found


def _pool(
    experiment: Experiment, unlabeled: UnlabeledConfig, table: ImageTable, progress: Progress
) -> UnlabeledPool:
    data = experiment.data
    scenario = build_scenario(table, experiment.scenario, data.validation_fraction, experiment.seed)
    return pool_beside(scenario, load_unlabeled(data, unlabeled, progress))
