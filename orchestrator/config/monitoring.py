"""Configure the monitoring of a retraining between arrivals of labelled images."""

from __future__ import annotations

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_BATCH, MOST_SECONDS, MOST_WEIGHT


class MonitoringConfig(Config):
    """Watch images that arrive without labels, and folders in which nothing arrives, on every tick,
    also on one that learns nothing.

    The champion's answers for new images without labels (`source.unlabeled`) are compared with its
    answers for held-out ones. A finding needs both: a bound is crossed, and chance does not explain
    it. It warns; it never stops a tick.
    """

    looks_at_images: bool = Field(
        default=True, description="Whether images without labels are looked at."
    )
    max_images: int = Field(
        default=500,
        ge=20,
        le=MOST_BATCH,
        description=(
            "At most so many images without labels a tick, and held-out ones a champion, are looked"
            " at, chosen at random."
        ),
    )
    min_images: int = Field(
        default=50,
        ge=20,
        le=MOST_BATCH,
        description=(
            "Fewer new images without labels wait for more; as many held-out ones are needed."
        ),
    )
    p_value: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description="A difference counts below this p-value (of the three tests together).",
    )
    max_agreement_drop: float | None = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "Student and teacher may agree on a share of new images that is lower by this much than"
            " on held-out ones; null only records it."
        ),
    )
    far_quantile: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description=(
            "An image is far from every class if the teacher's highest logit, less their mean, is"
            " lower than for all but this share of the held-out images."
        ),
    )
    max_far_share: float | None = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "Largest share of new images that may be far from every class; null only records it."
        ),
    )
    max_class_distance: float | None = Field(
        default=0.25,
        ge=0,
        le=1,
        description=(
            "Largest share of new images that the student may assign to other classes than it would"
            " if they came as the held-out ones (total variation distance); null only records it."
        ),
    )
    silence_factor: float | None = Field(
        default=3.0,
        gt=1,
        le=MOST_WEIGHT,
        description=(
            "A folder is reported in which nothing has arrived for so many times the usual gap"
            " between arrivals, from five arrivals on; null reports none."
        ),
    )
    min_silence_seconds: float = Field(
        default=900.0,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Files closer to each other are one arrival; a shorter silence is never reported."
        ),
    )

    @model_validator(mode="after")
    def _enough_may_be_looked_at(self) -> MonitoringConfig:
        if self.max_images < self.min_images:
            msg = (
                f"max_images = {self.max_images} is less than min_images = {self.min_images}: no"
                " image would ever be looked at; raise it"
            )
            raise ValueError(msg)
        return self
