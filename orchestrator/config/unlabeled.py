"""Where images without labels come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from orchestrator.config.addresses import absolute_path, absolute_place
from orchestrator.config.base import Config


class UnlabeledImagesConfig(Config):
    """Base of every source of images without labels.

    Size, channels, `cache_dir` and `max_memory_gib` are those of the data that it stands in. Images
    that are also test, validation or training images are left out: see `data.unlabeled`.
    """

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


UnlabeledConfig = Annotated[
    UnlabeledParquetConfig | UnlabeledFolderConfig, Field(discriminator="kind")
]
