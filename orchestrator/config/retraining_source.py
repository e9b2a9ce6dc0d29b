"""Configure the folders in which the images of a retraining arrive.

A growing folder is a folder to which files are added over time.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.addresses import absolute_place
from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_CLASSES, MOST_IMAGES, MOST_SECONDS


class UnlabeledDeliveriesConfig(Config):
    """Growing folder of Parquet files with the column `image`, for images without labels, such as
    images from cameras or users.
    """

    path: str = Field(
        min_length=1,
        description=(
            "Local folder, or s3:// or gs:// address, outside source.path; subfolders are read as"
            " well."
        ),
    )
    max_images: int | None = Field(
        default=None,
        ge=1,
        le=MOST_IMAGES,
        description="Largest number of images to decode, drawn at random; null means all.",
    )

    @field_validator("path")
    @classmethod
    def _absolute_place(cls, place: str) -> str:
        return absolute_place(place)


class SourceConfig(Config):
    """Growing folder of Parquet files with the columns `image` and `label`. The columns have the
    form that the data source `parquet` reads.
    """

    path: str = Field(
        min_length=1,
        description="Local folder, or s3:// or gs:// address; subfolders are read as well.",
    )
    settled_seconds: float = Field(
        default=60.0,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Seconds since the last write before a file is read; a younger file may still be"
            " growing and is left for the next tick."
        ),
    )
    marker: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Suffix of a marker file, such as `.done`: FILE is read once FILE + marker exists"
            " next to it; null uses settled_seconds instead."
        ),
    )
    image_size: int = Field(
        default=32, ge=8, le=512, description="Side in pixels to which every image is resized."
    )
    num_channels: Literal[1, 3] = Field(default=3, description="1 converts to grey, 3 to RGB.")
    held_out_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description=(
            "Share of the images that is never used for training; the gate judges candidates on"
            " these images."
        ),
    )
    min_images_per_class: int = Field(
        default=20,
        ge=3,
        le=MOST_IMAGES,
        description=(
            "Smallest number of images, held-out ones included, of a new class; a class with fewer"
            " images waits until more have arrived."
        ),
    )
    min_base_classes: int = Field(
        default=2,
        ge=2,
        le=MOST_CLASSES,
        description="Number of classes that must have arrived before the first model is trained.",
    )

    unlabeled: UnlabeledDeliveriesConfig | None = Field(
        default=None,
        description=(
            "Folder in which unlabelled images arrive: every candidate learns from all of them,"
            " but their arrival alone does not start training. null means none."
        ),
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        return absolute_place(path)

    @model_validator(mode="after")
    def _two_folders(self) -> SourceConfig:
        labeled = self.path.rstrip("/")
        if self.unlabeled and f"{self.unlabeled.path}/".startswith(f"{labeled}/"):
            msg = (
                f"unlabeled.path = {self.unlabeled.path} is within path = {labeled}, where every"
                " file has labels; give a folder outside it"
            )
            raise ValueError(msg)
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) to which every image is converted."""
        return (self.num_channels, self.image_size, self.image_size)
