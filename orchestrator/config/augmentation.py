"""Configure the augmentation of training images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.base import Config


class ImageAugmentationConfig(Config):
    """Random geometric and photometric changes to training images. They are applied to whole
    batches of uint8 images.
    """

    rotation_degrees: float = Field(
        default=7.5, ge=0, le=180, description="Largest rotation in either direction, in degrees."
    )
    scale_fraction: float = Field(
        default=0.075,
        ge=0,
        lt=1,
        description="Largest relative change of size; 0.1 means a factor from 0.9 to 1.1.",
    )
    shift_fraction: float = Field(
        default=0.0625, ge=0, lt=1, description="Largest shift, as a fraction of the image's side."
    )
    horizontal_flip: bool = Field(
        default=False,
        description="Mirror each image with probability 1/2; suits photographs, not digits.",
    )
    noise: float = Field(
        default=0.015,
        ge=0,
        le=1,
        description="Standard deviation of pixel noise, as a fraction of the full range.",
    )
    border: Literal["black", "reflected"] = Field(
        default="black",
        description=(
            "Fill for the area uncovered by a shift, rotation or reduction: black, or the image"
            " mirrored at its edge."
        ),
    )

    def scaled(self, strength: float) -> ImageAugmentationConfig:
        """Return the configuration with the size of every change multiplied by `strength`. Products
        are capped so that the configuration stays valid; mirroring is unchanged.
        """
        return ImageAugmentationConfig(
            rotation_degrees=min(180.0, strength * self.rotation_degrees),
            scale_fraction=min(0.9, strength * self.scale_fraction),
            shift_fraction=min(0.9, strength * self.shift_fraction),
            horizontal_flip=self.horizontal_flip,
            noise=min(1.0, strength * self.noise),
            border=self.border,
        )
