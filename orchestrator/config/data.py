"""Configure the source of the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from orchestrator.config.addresses import absolute_path, absolute_place
from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_IMAGES
from orchestrator.config.extensions import OpenUnion
from orchestrator.config.image_source import (
    Half,
    ImageSourceConfig,
    ImageSourceExtension,
    ResizedSourceConfig,
)
from orchestrator.config.origins import FunctionOrigin
from orchestrator.config.path_within import PathWithin
from orchestrator.config.unlabeled import UnlabeledOfLabeledConfig
from orchestrator.config.validation import validated
from orchestrator.errors import ConfigError

_NOT_READ_WITHOUT_LABELS = {
    "augmentation",
    "cache_dir",
    "max_image_pixels",
    "max_memory_gib",
    "unlabeled",
    "validation_fraction",
}


class DigitsConfig(ImageSourceConfig):
    """Handwritten 8x8 digits bundled with scikit-learn: 1,797 images of 10 classes, available
    without Internet access.
    """

    kind: Literal["digits"] = "digits"
    test_fraction: float = Field(
        default=0.3, gt=0, lt=1, description="Share of each class's images used as test data."
    )
    split_seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Seed of the stratified split into training and test data.",
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) of the digits."""
        return (1, 8, 8)

    def origin(self, half: Half) -> FunctionOrigin:
        """Return the origin that tracking records: the scikit-learn function that provides the
        digits.
        """
        return FunctionOrigin("scikit-learn", "sklearn.datasets.load_digits")


class ParquetConfig(ResizedSourceConfig):
    """Parquet files with the columns `image` and `label`.

    `image` holds encoded bytes (JPEG, PNG, …; also the `{bytes, path}` struct of Hugging Face) or
    nested lists of pixels (integers in 0..255, or floating-point numbers in [0, 1]); `label` holds
    text or integers.
    """

    kind: Literal["parquet"] = "parquet"
    train: str = Field(
        min_length=1,
        description=(
            "Training images: a Parquet file, a folder of Parquet files, or a pattern such as"
            " `data/train-*.parquet`; a local path, or an s3:// or gs:// address."
        ),
    )
    test: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Test images, in the same form; null sets aside `test_fraction` of the training images."
        ),
    )

    @field_validator("train", "test")
    @classmethod
    def _absolute_place(cls, place: str | None) -> str | None:
        return None if place is None else absolute_place(place)

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places (paths or addresses) of training and test images. Without separate test
        images, `test` has the place of the training images.
        """
        return {"train": str(self.train), "test": str(self.test or self.train)}


class ImageFolderConfig(ResizedSourceConfig):
    """Folder with one subfolder per class; images may lie deeper within the subfolder. Hidden files
    and files that are not images are skipped.
    """

    kind: Literal["image_folder"] = "image_folder"
    train: Path = Field(
        description="Folder of the training images; the names of its subfolders are the labels."
    )
    test: Path | None = Field(
        default=None,
        description=(
            "Folder of the test images, in the same form; null sets aside `test_fraction` of the"
            " training images."
        ),
    )

    @field_validator("train", "test")
    @classmethod
    def _absolute_place(cls, path: Path | None) -> Path | None:
        return None if path is None else absolute_path(path)

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places of the images: the folder of the training images under the key `train`,
        and the folder of the test images under the key `test`. Without separate test images, both
        keys have the folder of the training images.
        """
        return {"train": str(self.train), "test": str(self.test or self.train)}

    @property
    def reserved_folder(self) -> Path:
        """Return the folder in which an import must not write its output: the parent folder that
        the training and the test folder share, otherwise the training folder.
        """
        beside = self.test is not None and self.test.parent == self.train.parent
        return self.train.parent if beside else self.train


class TorchvisionDataConfig(ResizedSourceConfig):
    """Data set of `torchvision.datasets`. Labels are the class names of the data set; without class
    names, labels are integers.

    `test_fraction` applies to data sets that torchvision does not split.
    """

    kind: Literal["torchvision"] = "torchvision"
    name: str = Field(min_length=1, description="Class in torchvision.datasets, such as `CIFAR10`.")
    root: Path = Field(description="Folder of the data set's files, in torchvision's layout.")
    download: bool = Field(default=False, description="Download missing files; needs a network.")
    options: dict[str, bool | int | str] = Field(
        default={},
        description=(
            "Further arguments for the data set's class, such as `{split: letters}` for EMNIST."
        ),
    )

    @field_validator("root")
    @classmethod
    def _absolute_root(cls, path: Path) -> Path:
        return absolute_path(path)

    def origin(self, half: Half) -> FunctionOrigin:
        """Return the origin that tracking records: the torchvision class that provides the data
        set.
        """
        return FunctionOrigin("torchvision", f"torchvision.datasets.{self.name}")

    @property
    def places(self) -> Mapping[str, str]:
        """Return the place of the images: the data set's folder, under the key `root`."""
        return {"root": str(self.root)}


class ArrivedFile(Config):
    """Record of one Parquet file in the folder that `ArrivalsConfig.path` names. A retraining
    writes this record.
    """

    name: PathWithin = Field(description="Path of the file within the folder of the arrivals.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the content; a file that has changed since is rejected.",
    )
    delivery: int = Field(
        ge=1,
        le=MOST_IMAGES,
        description="Number of the delivery in which the file arrived; 1 is the first.",
    )


class ArrivalsConfig(ImageSourceConfig):
    """Folder to which Parquet files are added over time, limited to the files that a retraining has
    recorded. Only `orchestrator retrain` writes this configuration.

    Files have the columns of `ParquetConfig`. Whether an image is held out as test data depends
    only on the content of the image. Copies of an image are therefore all training data or all test
    data, even if a copy arrives later.
    """

    kind: Literal["arrivals"] = "arrivals"
    path: str = Field(min_length=1, description="Local folder, s3:// or gs:// address.")
    files: tuple[ArrivedFile, ...] = Field(min_length=1, description="Files of the folder to read.")
    deliveries: tuple[tuple[str, Annotated[int, Field(ge=1, le=MOST_IMAGES)]], ...] = Field(
        min_length=1,
        description=(
            "Each class with the last delivery from which its images are read; other classes are"
            " skipped."
        ),
    )
    held_out_only: tuple[str, ...] = Field(
        default=(),
        description="Classes that were learned earlier; only their held-out images are read.",
    )
    held_out_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the images that is never used for training."
    )
    validation_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description=(
            "Share of each class's training images set aside for validation; 0 means none."
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

    def origin(self, half: Half) -> str:
        """Return the origin that tracking records: the address of the folder with the files."""
        return self.path

    @property
    def places(self) -> Mapping[str, str]:
        """Return the place of the images: the address of their folder, under the key `path`."""
        return {"path": self.path}


BuiltInDataConfig = Annotated[
    DigitsConfig | ParquetConfig | ImageFolderConfig | TorchvisionDataConfig | ArrivalsConfig,
    Field(discriminator="kind"),
]


def _with_labeled_source(config: ImageSourceConfig) -> ImageSourceConfig:
    """Validate the labelled source from which a configuration takes its unlabelled images, and
    return the configuration with the validated source. Return any other configuration unchanged.

    Raises:
        ValueError: The settings of the labelled source are invalid; the message has one line per
            problem.
    """
    unlabeled = config.unlabeled
    if not isinstance(unlabeled, UnlabeledOfLabeledConfig):
        return config
    found = labeled_source(unlabeled)
    if found.unlabeled is not None:
        msg = (
            "unlabeled.source.unlabeled: a source of unlabelled images cannot have unlabelled"
            " images itself; remove it"
        )
        raise ValueError(msg)
    settings = found.model_dump(mode="json", exclude=_NOT_READ_WITHOUT_LABELS)
    found = found.model_copy(
        update={"cache_dir": config.cache_dir, "max_image_pixels": config.max_image_pixels}
    )
    return config.model_copy(update={"unlabeled": unlabeled.of(settings, found)})


DataConfig = Annotated[
    BuiltInDataConfig | ImageSourceExtension,
    OpenUnion(ImageSourceExtension, BuiltInDataConfig),
    AfterValidator(_with_labeled_source),
]


class _Source(Config):
    source: DataConfig = Field(description="Source of the images.")


def labeled_source(unlabeled: UnlabeledOfLabeledConfig) -> DataConfig:
    """Return the configuration of the labelled source whose images are used without labels.

    Raises:
        ValueError: The settings of the labelled source are invalid; the message has one line per
            problem.
    """
    try:
        return validated(_Source, {"source": unlabeled.source}).source
    except ConfigError as error:
        lines = [f"unlabeled.{line}" for line in str(error).splitlines()]
        raise ValueError("\n".join(lines)) from None
