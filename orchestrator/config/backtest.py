"""Configure a backtest, in which `orchestrator retrain --backtest` replays past arrivals.

An arrival is the group of files that one tick of a retraining reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from orchestrator.config.addresses import absolute_place
from orchestrator.config.base import Config
from orchestrator.errors import ConfigError

_VARIED = ("gate.", "reactions.")

GroupBy = Literal["day", "hour", "week", "file", "folder"]


class BacktestConfig(Config):
    """Folder of past arrivals to replay, and settings for grouping files into arrivals, shuffling
    arrivals and corrupting labels.
    """

    folder: str = Field(
        min_length=1,
        description="Local folder, s3:// or gs:// address with the Parquet files of the past.",
    )
    group_by: GroupBy = Field(
        default="day",
        description=(
            "Grouping of files into arrivals, one per tick: by the day, hour or ISO week (UTC) in"
            " which they were written, each file on its own, or by direct subfolder in the order"
            " of names."
        ),
    )
    num_orders: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=(
            "Number of shuffled orders of the arrivals to replay; null replays them once, by date."
        ),
    )
    wrong_labels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(),
        description=(
            "Shares of labels to corrupt in one arrival; each share adds one more replay of the"
            " folder."
        ),
    )

    @field_validator("folder")
    @classmethod
    def _absolute(cls, place: str) -> str:
        return absolute_place(place)

    @field_validator("wrong_labels", mode="before")
    @classmethod
    def _split(cls, shares: Any) -> Any:  # noqa: ANN401 - a value from the command line
        if not isinstance(shares, str):
            return shares
        return [share.strip() for share in shares.split(",")]

    @field_validator("wrong_labels")
    @classmethod
    def _each_once(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(shares)))


def alternatives(what_if: Sequence[str]) -> list[str]:
    """Split every text `a.b=VALUE,VALUE,…` of `--what-if` into one override `a.b=VALUE` per value.

    Raises:
        ConfigError: A text is not of the form `a.b=VALUE,VALUE,…`, or `a.b` is not a setting of the
            gate or of the reactions.
    """
    found = []
    for text in what_if:
        path, equals, values = text.partition("=")
        named = [value.strip() for value in values.split(",")]
        if not path.strip() or not equals or not all(named):
            raise ConfigError(
                "is not of the form a.b=VALUE,VALUE,…",
                where=f"--what-if {text}",
                next_step="for example --what-if gate.min_new_accuracy=0.5,0.7",
            )
        if not path.strip().startswith(_VARIED):
            raise ConfigError(
                "is not a setting of the gate or of the reactions",
                where=f"--what-if {text}",
                next_step="change other settings for all replays with --set",
            )
        found += [f"{path.strip()}={value}" for value in named]
    return list(dict.fromkeys(found))
