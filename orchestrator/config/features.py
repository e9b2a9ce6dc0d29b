"""Configure the features that a backbone returns for an image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config

# The bound of a stage number is far above the stage count of real networks, which have four to
# seven stages.
StageNumber = Annotated[int, Field(ge=1, le=64)]


class FinalFeaturesConfig(Config):
    """Features after the last layer only."""

    kind: Literal["final"] = "final"


class StageFeaturesConfig(Config):
    """Named groups of features: the mean and standard deviation of every channel of every stage,
    the channels of some stages pooled to 2x2 cells, and the final features.

    Sources: Head2Toe (Evci et al. 2022), LayUP (Ahrens et al. 2023).
    """

    kind: Literal["stages"] = "stages"
    pooled: tuple[StageNumber, ...] = Field(
        default=(2, 3, 4),
        description=(
            "Numbers, counted from 1, of the stages whose channels are also pooled to 2x2 cells;"
            " numbers beyond the last stage are ignored."
        ),
    )


FeaturesConfig = Annotated[FinalFeaturesConfig | StageFeaturesConfig, Field(discriminator="kind")]
