"""Define the settings that all image sources share, and the base class of image source extensions.

A source has two halves: the training images and the test images.
"""

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
"""Default size limit of an image: the size of the largest photographs of most cameras and phones.
Decoding such a photograph takes 400 MB.
"""
MOST_IMAGE_PIXELS = 89_478_485
"""Highest size limit that users may set. Above this number of pixels, Pillow itself warns of
decompression bombs.
"""


class ImageSourceConfig(Config):
    """Base class for the configuration of an image source.

    The properties of this class provide the facts that are known before a source is opened. No code
    outside `config` and `data.sources` therefore needs to distinguish kinds of sources.
    """

    validation_fraction: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description=(
            "Share of each class's training images set aside for validation; 0 means none."
        ),
    )
    augmentation: ImageAugmentationConfig = Field(
        default=ImageAugmentationConfig(),
        description="Augmentation of training images, the same for every method.",
    )
    cache_dir: Path = Field(
        default=Path(".orchestrator/data"),
        description=(
            "Folder for decoded images, which every process on this machine maps into memory."
        ),
    )

    max_memory_gib: float | None = Field(
        default=None,
        gt=0,
        le=MOST_GIB,
        description=(
            "Memory limit in GiB for the images of a stage; images beyond it stay on disk, in"
            " `cache_dir`, and are read batch by batch. null means no limit. Does not change"
            " results."
        ),
    )
    max_image_pixels: int = Field(
        default=DEFAULT_MAX_IMAGE_PIXELS,
        ge=1024,
        le=MOST_IMAGE_PIXELS,
        description=(
            "Largest number of pixels (width x height) of an image before resizing; larger images"
            " are rejected before decoding, which takes 12 bytes per pixel. Does not change"
            " results."
        ),
    )
    unlabeled: UnlabeledConfig | None = Field(
        default=None,
        description=(
            "Additional images without labels that a method may learn from in every task; null"
            " means none. They are never used for evaluation, and images identical to a test,"
            " validation or training image are skipped."
        ),
    )

    @field_validator("cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return absolute_path(path)

    @property
    def max_bytes(self) -> int | None:
        """Return the limit `max_memory_gib` in bytes."""
        return None if self.max_memory_gib is None else int(self.max_memory_gib * 2**30)

    @property
    def of_any_source(self) -> dict[str, Any]:
        """Return the settings that every source has, by name, so that they can be applied to
        another source.
        """
        return {name: getattr(self, name) for name in ImageSourceConfig.model_fields}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) to which every image is converted."""

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places (paths or addresses) of the images, keyed by the configuration field
        that holds each place. Every machine that computes stages must be able to reach these
        places.
        """
        return {}

    def origin(self, half: Half) -> str | FunctionOrigin:
        """Return the origin of one half (training or test images), as tracking records it: a path,
        an address or a function. The default is the path or address in `places[half]`.
        """
        return self.places[half]

    @property
    def reserved_folder(self) -> Path | None:
        """Return the folder in which an import must not write its output; None if the source has no
        such folder.
        """
        return None


class ResizedSourceConfig(ImageSourceConfig):
    """Base class for sources whose images may have any size, mode and depth. Every image is
    converted to one shape.
    """

    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description=(
            "Share of each class's images used as test data if the source has no test images."
        ),
    )
    image_size: int = Field(
        default=32, ge=8, le=512, description="Side in pixels to which every image is resized."
    )
    num_channels: Literal[1, 3] = Field(default=3, description="1 converts to grey, 3 to RGB.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape (channels, height, width) of every image; images are square."""
        return (self.num_channels, self.image_size, self.image_size)


class ImageSourceExtension(ResizedSourceConfig, Extension):
    """Base class for the configuration of an image source extension, an entry point of the group
    `orchestrator.image_sources`.

    The entry point's object provides `open(config)`, which returns a `data.samples.ImageSource`.
    The `stamp` of the returned source must depend on every field that selects images. The inherited
    fields configure decoding, the cache, and the split of a source without test images.

    The configuration of a source that reads files overrides `places`. If the keys of `places` are
    `train` and `test`, `origin` need not be overridden.
    """

    group: ClassVar[str] = "orchestrator.image_sources"

    def origin(self, half: Half) -> str | FunctionOrigin:
        """Return the origin of one half (training or test images), as tracking records it: the path
        or address in `places[half]` if there is one, otherwise the extension's entry point.
        """
        if half in self.places:
            return self.places[half]
        offered = installed_for(self)
        return FunctionOrigin(offered.distribution, offered.target)
