"""Configure the monitoring of a retraining between deliveries of labelled images."""

from __future__ import annotations

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_BATCH, MOST_SECONDS, MOST_WEIGHT


class MonitoringConfig(Config):
    """Checks that every tick (one run of `orchestrator retrain`) makes, even if the tick learns
    nothing. The checks report whether newly arrived unlabelled images differ from held-out images,
    and whether a folder has received no files for too long.

    The images are compared by the predictions of the champion (the models in use) for new
    unlabelled images (`source.unlabeled`) and for held-out images. A finding is reported if a
    difference exceeds its bound and is statistically significant. Findings are warnings; they never
    stop a tick.
    """

    looks_at_images: bool = Field(default=True, description="Whether to examine unlabelled images.")
    max_images: int = Field(
        default=500,
        ge=20,
        le=MOST_BATCH,
        description=(
            "Largest number of unlabelled images per tick, and of held-out images per champion,"
            " to examine; they are drawn at random."
        ),
    )
    min_images: int = Field(
        default=50,
        ge=20,
        le=MOST_BATCH,
        description=(
            "Smallest number of new unlabelled images to examine; fewer images wait until more have"
            " arrived. The same number of held-out images is needed."
        ),
    )
    p_value: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description=(
            "p-value below which a difference counts, over the tests of agreement, distance and"
            " classes together."
        ),
    )
    max_agreement_drop: float | None = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "Largest allowed drop, from held-out to new images, of the share of images on which"
            " student and teacher agree; null only records the drop."
        ),
    )
    far_quantile: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description=(
            'Quantile of the held-out images that defines "far from every class": an image is'
            " far if the teacher's highest logit minus its mean logit is below this quantile."
        ),
    )
    max_far_share: float | None = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "Largest allowed share of new images that are far from every class; null only records"
            " the share."
        ),
    )
    max_class_distance: float | None = Field(
        default=0.25,
        ge=0,
        le=1,
        description=(
            "Largest allowed total variation distance between the classes that the student assigns"
            " to new and to held-out images; null only records the distance."
        ),
    )
    silence_factor: float | None = Field(
        default=3.0,
        gt=1,
        le=MOST_WEIGHT,
        description=(
            "A folder is reported if nothing has arrived for this many times the usual gap between"
            " deliveries, after at least five deliveries; null reports no folder."
        ),
    )
    min_silence_seconds: float = Field(
        default=900.0,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Files written less than this many seconds apart count as one delivery; a silence"
            " shorter than this is never reported."
        ),
    )

    @model_validator(mode="after")
    def _enough_may_be_looked_at(self) -> MonitoringConfig:
        if self.max_images < self.min_images:
            msg = (
                f"max_images = {self.max_images} is less than min_images = {self.min_images}: no"
                " image would ever be examined; raise it"
            )
            raise ValueError(msg)
        return self
