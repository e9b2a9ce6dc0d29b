"""Where images without labels come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.addresses import absolute_path, absolute_place
from orchestrator.config.base import Config
from orchestrator.config.origins import FunctionOrigin
from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.config.data import DataConfig


_NOT_READ_OF_A_SOURCE = {
    "augmentation",
    "cache_dir",
    "max_memory_gib",
    "unlabeled",
    "validation_fraction",
}


class UnlabeledImagesConfig(Config):
    """Base of every source of images without labels.

    Size, channels, `cache_dir` and `max_memory_gib` are those of the data that it stands in. Images
    that are also test, validation or training images are left out: see `data.unlabeled`.

    Attributes:
        may_be_empty: Whether it is no mistake where no image is left.
    """

    may_be_empty: ClassVar[bool] = False

    max_images: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Most images that are decoded, chosen at random among those of the source; what is then"
            " left out is not replaced. null means all."
        ),
    )
    choice_seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed of the choice under max_images."
    )

    @property
    def places(self) -> Mapping[str, str]:
        """Return the paths and addresses that every machine that computes must reach, by field."""
        return {}

    @property
    @abstractmethod
    def origin(self) -> str | FunctionOrigin:
        """Return where tracking says that they come from."""


class UnlabeledParquetConfig(UnlabeledImagesConfig):
    """Parquet files with the column `image`, as in the data source `parquet`; others are not read,
    `label` included.
    """

    kind: Literal["parquet"] = "parquet"
    path: str = Field(
        min_length=1,
        description=(
            "A Parquet file, a folder of them, or a pattern such as `camera/*.parquet`; a local"
            " path, or an s3:// or gs:// address."
        ),
    )

    @field_validator("path")
    @classmethod
    def _absolute_place(cls, place: str) -> str:
        return absolute_place(place)

    @property
    def places(self) -> Mapping[str, str]:
        """Return the files' place."""
        return {"path": self.path}

    @property
    def origin(self) -> str:
        """Return the files' place."""
        return self.path


class UnlabeledFolderConfig(UnlabeledImagesConfig):
    """A folder with images at any depth: the names of its sub-folders mean nothing. Hidden files
    and what is no image are left out.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: Path = Field(description="The folder.")

    @field_validator("path")
    @classmethod
    def _absolute_place(cls, path: Path) -> Path:
        return absolute_path(path)

    @property
    def places(self) -> Mapping[str, str]:
        """Return the folder."""
        return {"path": str(self.path)}

    @property
    def origin(self) -> str:
        """Return the folder."""
        return str(self.path)


class UnlabeledOfLabeledConfig(UnlabeledImagesConfig):
    """The training images of any data source, of an extension too; their labels are not used."""

    kind: Literal["labeled"] = "labeled"
    source: dict[str, Any] = Field(
        description="Settings of the source, with their `kind`, as they would stand under `data`."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_a_source(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the YAML file holds
        if not isinstance(values, dict) or not isinstance(values.get("source"), dict):
            return values
        config = _labeled_source(values["source"])
        if config.unlabeled is not None:
            msg = "source.unlabeled: these images have none of their own; leave it out"
            raise ValueError(msg)
        settings = config.model_dump(mode="json", exclude=_NOT_READ_OF_A_SOURCE)
        return {**values, "source": settings}

    @property
    def source_config(self) -> DataConfig:
        """Return the source's configuration."""
        return _labeled_source(self.source)

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places of the source."""
        return {f"source.{name}": place for name, place in self.source_config.places.items()}

    @property
    def origin(self) -> str | FunctionOrigin:
        """Return where the source's training images come from."""
        return self.source_config.origin("train")


class UnlabeledFile(Config):
    """A Parquet file as a retraining took it in."""

    name: str = Field(min_length=1, description="Path within the folder.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Of its content: a file that has changed since is not read.",
    )


class UnlabeledArrivalsConfig(UnlabeledImagesConfig):
    """A folder of Parquet files without labels that grows, as far as a retraining has taken it in.
    Written by `orchestrator retrain`, not by hand.

    Which images are held out depends on their content alone, as with labels: no model learns,
    without its label, from an image by which it or a later one is judged.
    """

    may_be_empty: ClassVar[bool] = True

    kind: Literal["arrivals"] = "arrivals"
    path: str = Field(min_length=1, description="Local folder, s3:// or gs:// address.")
    files: tuple[UnlabeledFile, ...] = Field(min_length=1, description="What is read of it.")
    held_out_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the images that is never learned from."
    )

    @property
    def places(self) -> Mapping[str, str]:
        """Return the folder."""
        return {"path": self.path}

    @property
    def origin(self) -> str:
        """Return the folder."""
        return self.path


def _labeled_source(settings: dict[str, Any]) -> DataConfig:
    """Return the configuration of a data source.

    Raises:
        ValueError: The settings are none; one line for each problem.
    """
    # it refers to this module
    from orchestrator.config.data import DataSource  # noqa: PLC0415
    from orchestrator.config.validation import validated  # noqa: PLC0415

    try:
        return validated(DataSource, {"source": settings}).source
    except ConfigError as error:
        raise ValueError(str(error)) from None


UnlabeledConfig = Annotated[
    UnlabeledParquetConfig
    | UnlabeledFolderConfig
    | UnlabeledOfLabeledConfig
    | UnlabeledArrivalsConfig,
    Field(discriminator="kind"),
]
