"""Describe a data set: its contents, its problems, and whether a run can use it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.config.data import DataConfig
from orchestrator.data import ImageTable, load_images
from orchestrator.data.decoding import Shape
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import HALVES, Progress, ignore_progress, in_threads
from orchestrator.data.sources.source import open_source
from orchestrator.data.survey import BadImage, Survey, examine, new_survey
from orchestrator.errors import DataError
from orchestrator.figures.sample_sheet import (
    IMAGES_PER_CLASS,
    SheetRows,
    check_sheet,
    write_sample_sheet,
)


@dataclass(frozen=True)
class Description:
    """Description of a data set.

    Attributes:
        name: Name of the data set.
        shape: (channels, height, width) of every decoded image.
        survey: Counts, sizes and problems of the images.
        table: The decoded images; None if a run cannot use the images.
        refusal: Why a run cannot use the images; empty if it can.
    """

    name: str
    shape: Shape
    survey: Survey
    table: ImageTable | None
    refusal: str

    @property
    def decoded_bytes(self) -> int:
        """Return the size of the decoded images in bytes."""
        channels, height, width = self.shape
        return self.survey.num_usable * channels * height * width


def describe_data(
    config: DataConfig, sheet: Path | None, progress: Progress = ignore_progress
) -> Description:
    """Examine every image of a data set.

    Args:
        config: The source of the images.
        sheet: Picture file to write, which shows some images of each class; None writes no picture.
        progress: Receives the number of processed images.

    Raises:
        UserInputError: There are no images, or the suffix of `sheet` is not a picture format.
        StorageUnavailableError: The data cache or the picture cannot be written.
    """
    if sheet is not None:
        check_sheet(sheet)
    source, shape = open_source(config), config.shape
    limits = ImageLimits(config.max_image_pixels)
    survey = new_survey(source)
    rows: SheetRows = defaultdict(list)
    done, total = 0, sum(source.num_images(half) for half in HALVES)
    for half in HALVES:
        look = partial(examine, half=half, shape=shape, limits=limits)
        for found in in_threads(look, source.samples(half)):
            done += 1
            progress(done, total)
            if isinstance(found, BadImage):
                survey.add(found)
                continue
            survey.add(found.facts)
            if len(rows[str(found.facts.label)]) < IMAGES_PER_CLASS:
                rows[str(found.facts.label)].append(found.decoded.pixels)
    if sheet is not None:
        write_sample_sheet({label: rows[label] for label in survey.classes}, source.name, sheet)
    try:
        return Description(source.name, shape, survey, load_images(config, progress), "")
    except DataError as error:
        return Description(source.name, shape, survey, None, str(error))
