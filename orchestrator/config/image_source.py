"""The settings that every source of images has, and the base of those from outside the package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from orchestrator.config.addresses import absolute_path
from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_GIB
from orchestrator.config.extensions import Extension, installed_for
from orchestrator.config.origins import FunctionOrigin
from orchestrator.config.unlabeled import UnlabeledConfig

Half: TypeAlias = Literal["train", "test"]

DEFAULT_MAX_IMAGE_PIXELS = 2**25
"""Pixels of the largest photographs of most cameras and telephones, and 400 MB to decode."""
MOST_IMAGE_PIXELS = 89_478_485
"""From here on Pillow itself warns of images that are made to fill memory."""


class ImageSourceConfig(Config):
    """Base of every source's configuration.

    What a source knows of itself before it is opened are properties here: nothing outside `config`
    and `data.sources` asks which source it is.
    """

    validation_fraction: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description=(
            "Share of each class's training images that is set aside for validation; 0 means none."
        ),
    )
    augmentation: ImageAugmentationConfig = Field(
        default=ImageAugmentationConfig(),
        description="How training images are varied; every method gets the same.",
    )
    cache_dir: Path = Field(
        default=Path(".orchestrator/data"),
        description="Folder for decoded images, memory-mapped by every process of this machine.",
    )

    max_memory_gib: float | None = Field(
        default=None,
        gt=0,
        le=MOST_GIB,
        description=(
            "Most memory for the images that a stage works on, in GiB; more of them stay on disk,"
            " in `cache_dir`, and are read batch by batch. null means no bound. Changes no result."
        ),
    )
    max_image_pixels: int = Field(
        default=DEFAULT_MAX_IMAGE_PIXELS,
        ge=1024,
        le=MOST_IMAGE_PIXELS,
        description=(
            "Most pixels (width x height) of one image before resizing; larger ones are refused"
            " before they are decoded, which takes 12 bytes a pixel. Changes no result."
        ),
    )
    unlabeled: UnlabeledConfig | None = Field(
        default=None,
        description=(
            "Further images, without labels, that a method may learn from in every task; null means"
            " none. They judge nothing, and those with the pixels of a test, validation or training"
            " image are left out."
        ),
    )

    @field_validator("cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return absolute_path(path)

    @property
    def max_bytes(self) -> int | None:
        """Return `max_memory_gib` in bytes."""
        return None if self.max_memory_gib is None else int(self.max_memory_gib * 2**30)

    @property
    def of_any_source(self) -> dict[str, Any]:
        """Return the settings that hold wherever images come from, by name: for the same
        experiment on another source.
        """
        return {name: getattr(self, name) for name in ImageSourceConfig.model_fields}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) to which every image is converted."""

    @property
    def places(self) -> Mapping[str, str]:
        """Return the paths and addresses that every machine that computes must reach, by field."""
        return {}

    def origin(self, half: Half) -> str | FunctionOrigin:
        """Return where tracking says that a half comes from: the place called as the half, unless a
        source says otherwise.
        """
        return self.places[half]

    @property
    def reserved_folder(self) -> Path | None:
        """Return the folder in which a new file would be taken for data; None if there is none."""
        return None


class ResizedSourceConfig(ImageSourceConfig):
    """Base for images of any size, mode and depth, all converted to one."""

    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description=(
            "Share of each class's images used as test data where there are no test images of their"
            " own."
        ),
    )
    image_size: int = Field(
        default=32, ge=8, le=512, description="Side in pixels to which every image is resized."
    )
    num_channels: Literal[1, 3] = Field(default=3, description="1 converts to grey, 3 to RGB.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width): images are square."""
        return (self.num_channels, self.image_size, self.image_size)


class ImageSourceExtension(ResizedSourceConfig, Extension):
    """Base of the configuration of an image source (`orchestrator.image_sources`).

    Its entry point offers `open(config)`, which returns a `data.samples.ImageSource`. That source's
    stamp must depend on every field that says which images there are. Decoding, the cache, and a
    test half where the source has none follow from the fields that are inherited here.

    A source of files overrides `places`; with `train` and `test` there, `origin` follows.
    """

    group: ClassVar[str] = "orchestrator.image_sources"

    def origin(self, half: Half) -> str | FunctionOrigin:
        """Return the place called as the half, or else the extension itself."""
        if half in self.places:
            return self.places[half]
        offered = installed_for(self)
        return FunctionOrigin(offered.distribution, offered.target)
