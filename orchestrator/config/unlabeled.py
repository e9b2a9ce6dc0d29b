"""Configure the source of unlabelled images."""

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
    """Base class for the configuration of a source of unlabelled images.

    The enclosing `data` section determines image size, channels, `cache_dir` and `max_memory_gib`.
    Images that are also test, validation or training images are skipped (see the module
    `orchestrator.data.unlabeled`).

    Attributes:
        may_be_empty: Whether a source is valid if no images remain after skipping.
    """

    may_be_empty: ClassVar[bool] = False

    max_images: int | None = Field(
        default=None,
        ge=1,
        le=MOST_IMAGES,
        description=(
            "Largest number of images to decode, drawn at random from the source; images skipped"
            " afterwards are not replaced. null means all."
        ),
    )
    choice_seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed of the random draw of max_images images."
    )

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places (paths or addresses) of the images, keyed by the configuration field
        that holds each place. Every machine that computes stages must be able to reach these
        places.
        """
        return {}

    @property
    @abstractmethod
    def origin(self) -> str | FunctionOrigin:
        """Return the origin of the images, as tracking records it: a path, an address or a
        function.
        """


class UnlabeledParquetConfig(UnlabeledImagesConfig):
    """Parquet files with the column `image`, as in the data source `parquet`; other columns are
    ignored, `label` included.
    """

    kind: Literal["parquet"] = "parquet"
    path: str = Field(
        min_length=1,
        description=(
            "A Parquet file, a folder of Parquet files, or a pattern such as `camera/*.parquet`;"
            " a local path, or an s3:// or gs:// address."
        ),
    )

    @field_validator("path")
    @classmethod
    def _absolute_place(cls, place: str) -> str:
        return absolute_place(place)

    @property
    def places(self) -> Mapping[str, str]:
        """Return a mapping from `path` to the path, pattern or address of the files."""
        return {"path": self.path}

    @property
    def origin(self) -> str:
        """Return the origin that tracking records: the path, pattern or address of the files."""
        return self.path


class UnlabeledFolderConfig(UnlabeledImagesConfig):
    """Folder with images at any depth; the names of subfolders have no meaning. Hidden files and
    files that are not images are skipped.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: Path = Field(description="The folder.")

    @field_validator("path")
    @classmethod
    def _absolute_place(cls, path: Path) -> Path:
        return absolute_path(path)

    @property
    def places(self) -> Mapping[str, str]:
        """Return a mapping from `path` to the path of the folder with the images."""
        return {"path": str(self.path)}

    @property
    def origin(self) -> str:
        """Return the origin that tracking records: the path of the folder with the images."""
        return str(self.path)


class LabeledSource(Protocol):
    """Protocol of a configuration that describes a source of labelled images. The configuration
    provides facts that are known before the source is opened.
    """

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places (paths or addresses) of the images, keyed by the configuration field
        that holds each place.
        """

    def origin(self, half: Literal["train", "test"]) -> str | FunctionOrigin:
        """Return the origin of the training or test images, as tracking records it: a path, an
        address or a function.
        """


class UnlabeledOfLabeledConfig(UnlabeledImagesConfig):
    """Training images of any data source, extensions included, used without their labels."""

    kind: Literal["labeled"] = "labeled"
    source: dict[str, Any] = Field(
        description="Settings of the source, including `kind`, as under `data`."
    )
    _config: LabeledSource | None = PrivateAttr(default=None)

    def of(self, source: dict[str, Any], config: LabeledSource) -> UnlabeledOfLabeledConfig:
        """Return a copy of this configuration with a labelled source that has been validated.

        Args:
            source: Settings of the labelled source, with all defaults filled in.
            config: Validated configuration of the labelled source.
        """
        found = self.model_copy(update={"source": source})
        found._config = config  # noqa: SLF001 - of the same class
        return found

    @property
    def places(self) -> Mapping[str, str]:
        """Return the places (paths or addresses) of the labelled source's images. Each key is
        `source.` followed by the configuration field that holds the place.
        """
        places = {} if self._config is None else self._config.places
        return {f"source.{name}": place for name, place in places.items()}

    @property
    def origin(self) -> str | FunctionOrigin:
        """Return the origin that tracking records: the origin of the labelled source's training
        images (a path, an address or a function).
        """
        return "" if self._config is None else self._config.origin("train")


class UnlabeledFile(Config):
    """Record of one Parquet file without labels in the folder that `UnlabeledArrivalsConfig.path`
    names. A retraining writes this record.
    """

    name: PathWithin = Field(description="Path within the folder.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the content; a file that has changed since is rejected.",
    )


class UnlabeledArrivalsConfig(UnlabeledImagesConfig):
    """Folder to which Parquet files without labels are added over time, limited to the files that a
    retraining has recorded. Only `orchestrator retrain` writes this configuration.

    Whether an image is held out depends only on the content of the image, as with labelled images.
    Therefore no model learns, even without labels, from an image on which the same model or a later
    model is evaluated.
    """

    may_be_empty: ClassVar[bool] = True

    kind: Literal["arrivals"] = "arrivals"
    path: str = Field(min_length=1, description="Local folder, s3:// or gs:// address.")
    files: tuple[UnlabeledFile, ...] = Field(
        min_length=1, description="Files of the folder to read."
    )
    held_out_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the images that is never used for training."
    )

    @property
    def places(self) -> Mapping[str, str]:
        """Return a mapping from `path` to the address of the folder with the files."""
        return {"path": self.path}

    @property
    def origin(self) -> str:
        """Return the origin that tracking records: the address of the folder with the files."""
        return self.path


UnlabeledConfig = Annotated[
    UnlabeledParquetConfig
    | UnlabeledFolderConfig
    | UnlabeledOfLabeledConfig
    | UnlabeledArrivalsConfig,
    Field(discriminator="kind"),
]
