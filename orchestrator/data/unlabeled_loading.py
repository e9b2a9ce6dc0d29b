"""Load unlabelled images into an image table. Images are decoded only once per machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from orchestrator.config.data import DataConfig
from orchestrator.config.unlabeled import UnlabeledConfig
from orchestrator.data.image_cache import FORMAT, hashed
from orchestrator.data.image_table import ImageTable, open_image_table, write_image_table
from orchestrator.data.loading import decode_all
from orchestrator.data.samples import Progress, Sample, ignore_progress
from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.sources.unlabeled.source import UnlabeledSource, open_unlabeled
from orchestrator.data.unlabeled import UnlabeledPool, digests_of, unlabeled_pool
from orchestrator.errors import NoImagesError


def load_unlabeled(
    config: DataConfig, unlabeled: UnlabeledConfig, progress: Progress = ignore_progress
) -> ImageTable:
    """Return a memory-mapped table of unlabelled images; at most `max_images` images are decoded.

    Args:
        config: The labelled data, which determine the shape of the images and the cache folder.
        unlabeled: Configuration of the source of the unlabelled images.
        progress: Receives the progress of decoding.

    Raises:
        DataError: Images or files are unusable; the error names each of them.
        NoImagesError: The source has no images.
        StorageUnavailableError: `data.cache_dir` cannot be written, or object storage does not
            answer.
    """
    source = open_unlabeled(unlabeled, config.cache_dir)
    chosen = (unlabeled.max_images, unlabeled.choice_seed) if unlabeled.max_images else None
    key = hashed(f"{FORMAT} {config.shape} {source.stamp} {chosen}")
    path = config.cache_dir / f"unlabeled-{key}.arrow"
    found = open_image_table(path)
    if found is not None:
        return found
    if not source.num_images:
        raise NoImagesError("holds no images", where=source.place, next_step="add images")
    num = min(unlabeled.max_images or source.num_images, source.num_images)
    samples = _chosen(source, num, unlabeled.choice_seed)
    images, _, _ = decode_all(samples, num, config, progress)
    return write_image_table(path, source.name, images, num * [""], np.zeros(num, dtype=np.bool_))


def pool_beside(scenario: Scenario, table: ImageTable) -> UnlabeledPool:
    """Return the images of a table that are not also images of a scenario.

    The test images of all classes are excluded, including classes that the class order omits.

    Args:
        scenario: Scenario with the test, validation and training images.
        table: All images of the source of unlabelled images.

    Raises:
        NoImagesError: Every image of the table is also an image of the scenario.
    """
    known = scenario.table

    def digests(split: Split) -> list[bytes]:
        rows = scenario.indices[split]
        return digests_of(known, np.concatenate(rows)) if rows else []

    pool = unlabeled_pool(
        table,
        digests_of(known, np.flatnonzero(known.is_test)),
        digests(Split.VALIDATION),
        digests(Split.TRAIN),
    )
    if not len(pool):
        raise NoImagesError(
            f"each of the {pool.left_out.total} unlabelled images is a test, validation or training"
            " image as well",
            where=f"data.unlabeled ({table.name})",
            next_step="give other images, or set data.unlabeled to null",
        )
    return pool


def _chosen(source: UnlabeledSource, num: int, seed: int) -> Iterator[Sample]:
    """Yield `num` randomly chosen samples of a source, in the order of the source."""
    total = source.num_images
    chosen = set(np.random.default_rng(seed).permutation(total)[:num].tolist())
    return (sample for row, sample in enumerate(source.samples()) if row in chosen)
