"""Configure where images without labels come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field, PrivateAttr, field_validator

from orchestrator.config.addresses import absolute_path, absolute_place
from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_IMAGES
from orchestrator.config.origins import FunctionOrigin
from orchestrator.config.path_within import PathWithin


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
        le=MOST_IMAGES,
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


class LabeledSource(Protocol):
    """Hold what is known of a source of labeled images before it is opened."""

    @property
    def places(self) -> Mapping[str, str]:
        """Return its paths and addresses, by field."""

    def origin(self, half: Literal["train", "test"]) -> str | FunctionOrigin:
        """Return where tracking says that a half comes from."""


class UnlabeledOfLabeledConfig(UnlabeledImagesConfig):
    """The training images of any data source, of an extension too; their labels are not used."""

    kind: Literal["labeled"] = "labeled"
    source: dict[str, Any] = Field(
        description="Settings of the source, with their `kind`, as they would stand under `data`."
    )
    _config: LabeledSource | None = PrivateAttr(default=None)

    def of(self, source: dict[str, Any], config: LabeledSource) -> UnlabeledOfLabeledConfig:
        """Return these settings with a source that has been validated.

        Args:
            source: Its settings, complete.
            config: Its configuration.
        """
        found = self.model_copy(update={"source": source})
        found._config = config  # noqa: SLF001 - of the same class
        return found

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places of the source."""
        places = {} if self._config is None else self._config.places
        return {f"source.{name}": place for name, place in places.items()}

    @property
    def origin(self) -> str | FunctionOrigin:
        """Return where the source's training images come from."""
        return "" if self._config is None else self._config.origin("train")


class UnlabeledFile(Config):
    """A Parquet file as a retraining took it in."""

    name: PathWithin = Field(description="Path within the folder.")
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


UnlabeledConfig = Annotated[
    UnlabeledParquetConfig
    | UnlabeledFolderConfig
    | UnlabeledOfLabeledConfig
    | UnlabeledArrivalsConfig,
    Field(discriminator="kind"),
]
