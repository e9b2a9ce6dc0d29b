"""Configure the distribution of a parameter in a search space."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    LARGEST_INTEGER,
    LARGEST_NUMBER,
    MOST_CHOICES,
    MOST_STEPS_OF_A_RANGE,
)
from orchestrator.config.plain_values import hashable_of, require_plain
from orchestrator.masking import secrets_in, shown_values

# Normal distributions are cut at this number of standard deviations from the mean; without the cut,
# 1 draw in 5,000 would lie outside.
NORMAL_REACH = 3.7


Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Integer = Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]


class _DistributionConfig(Config):
    when: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Conditions, by the path of another setting: the value, or a list of values, that the"
            " setting must have. Unless all conditions hold, the parameter keeps the experiment's"
            " value."
        ),
    )

    @field_validator("when")
    @classmethod
    def _plain_conditions(cls, when: dict[str, Any]) -> dict[str, Any]:
        require_plain(when)
        return when


class _RangeConfig(_DistributionConfig):
    low: Number = Field(description="Smallest value.")
    high: Number = Field(description="Largest value.")

    @model_validator(mode="after")
    def _low_is_below_high(self) -> _RangeConfig:
        if self.low >= self.high:
            advice = (
                "swap them"
                if self.low > self.high
                else "write a parameter with one value as a choice: {kind: choice, values: [VALUE]}"
            )
            msg = f"low = {self.low:g} is not below high = {self.high:g}; {advice}"
            raise ValueError(msg)
        return self


class _LogRangeConfig(_RangeConfig):
    low: Number = Field(gt=0, le=LARGEST_NUMBER, description="Smallest value, above 0.")


class UniformConfig(_RangeConfig):
    """Numbers in a range, all equally likely."""

    kind: Literal["uniform"] = "uniform"


class LogUniformConfig(_LogRangeConfig):
    """Numbers in a range, with every order of magnitude equally likely."""

    kind: Literal["log_uniform"] = "log_uniform"


class IntUniformConfig(_RangeConfig):
    """Integers in a range, all equally likely; with `log`, every order of magnitude is equally
    likely instead.
    """

    kind: Literal["int_uniform"] = "int_uniform"
    low: Integer = Field(description="Smallest value.")
    high: Integer = Field(description="Largest value.")
    step: int = Field(
        default=1,
        ge=1,
        le=LARGEST_INTEGER,
        description="Distance between values, counted from low.",
    )
    log: bool = Field(
        default=False,
        description="Draw every order of magnitude, instead of every integer, equally often.",
    )

    @property
    def num_values(self) -> int:
        """Return the number of integers in the range."""
        return (self.high - self.low) // self.step + 1

    @model_validator(mode="after")
    def _orders_of_magnitude_need_a_plain_range(self) -> IntUniformConfig:
        if self.log and (self.low < 1 or self.step != 1):
            msg = (
                f"log requires low >= 1 and step = 1, got low = {self.low} and step = {self.step};"
                " remove log"
            )
            raise ValueError(msg)
        return self


def _check_steps(length: float, step: float) -> None:
    if length > MOST_STEPS_OF_A_RANGE * step:
        msg = f"step = {step:g} gives more than {MOST_STEPS_OF_A_RANGE:,} values; raise it"
        raise ValueError(msg)


class _SteppedRangeConfig(_RangeConfig):
    step: float = Field(
        gt=0, le=LARGEST_NUMBER, description="Distance between values, counted from low."
    )

    @model_validator(mode="after")
    def _has_more_than_one_step(self) -> _SteppedRangeConfig:
        if self.step > self.high - self.low:
            msg = (
                f"step = {self.step:g} leaves no value between low = {self.low:g} and high ="
                f" {self.high:g}; lower it"
            )
            raise ValueError(msg)
        _check_steps(self.high - self.low, self.step)
        return self


class QuantizedUniformConfig(_SteppedRangeConfig):
    """Numbers `low, low + step, …` up to `high`, all equally likely."""

    kind: Literal["quantized_uniform"] = "quantized_uniform"

    @property
    def num_values(self) -> int:
        """Return the number of values in the range."""
        return int((self.high - self.low) / self.step) + 1


class QuantizedLogUniformConfig(_LogRangeConfig, _SteppedRangeConfig):
    """Numbers `low, low + step, …` up to `high`, with every order of magnitude equally likely."""

    kind: Literal["quantized_log_uniform"] = "quantized_log_uniform"


class _BellConfig(_DistributionConfig):
    mean: Number = Field(description="Mean of the distribution.")
    sd: float = Field(gt=0, le=LARGEST_NUMBER, description="Standard deviation.")
    low: Number | None = Field(default=None, description="Smallest value; null means no bound.")
    high: Number | None = Field(default=None, description="Largest value; null means no bound.")

    @model_validator(mode="after")
    def _something_is_left(self) -> _BellConfig:
        low, high = self.bounds
        if low >= high:
            msg = (
                f"low = {self.low} and high = {self.high} leave no value within mean ="
                f" {self.mean:g} ± {NORMAL_REACH} sd = {NORMAL_REACH * self.sd:g}; swap them, or"
                " move them towards the mean"
            )
            raise ValueError(msg)
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest value that can be drawn."""
        low, high = self.mean - NORMAL_REACH * self.sd, self.mean + NORMAL_REACH * self.sd
        return (
            low if self.low is None else max(low, self.low),
            high if self.high is None else min(high, self.high),
        )


class NormalConfig(_BellConfig):
    """Normal distribution, cut at 3.7 standard deviations from the mean."""

    kind: Literal["normal"] = "normal"


class QuantizedNormalConfig(_BellConfig):
    """Normal distribution, rounded to multiples of a step."""

    kind: Literal["quantized_normal"] = "quantized_normal"
    step: float = Field(
        gt=0, le=LARGEST_NUMBER, description="Distance between values, counted from 0."
    )

    @model_validator(mode="after")
    def _holds_a_multiple(self) -> QuantizedNormalConfig:
        low, high = self.bounds
        _check_steps(max(abs(low), abs(high)), self.step)
        if (high // self.step) * self.step < low:
            msg = f"step = {self.step:g} has no multiple from {low:g} to {high:g}; lower it"
            raise ValueError(msg)
        return self


class ChoiceConfig(_DistributionConfig):
    """One of several values of any kind: text, numbers, lists, mappings."""

    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...] = Field(
        min_length=1,
        max_length=MOST_CHOICES,
        description="The values; if they have a natural order, list them in it.",
    )

    @field_validator("values")
    @classmethod
    def _plain_and_different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[object] = set()
        for value in values:
            require_plain(value)
            if secrets_in(value):
                msg = (
                    f"{shown_values(value)!r} contains a secret, but parameters of trials are"
                    " shown everywhere; give the address without it, and the secret in the"
                    " environment"
                )
                raise ValueError(msg)
            hashable = hashable_of(value)
            if hashable in seen:
                msg = f"{value!r} is listed more than once; list each value once"
                raise ValueError(msg)
            seen.add(hashable)
        return values


class AscendingConfig(_RangeConfig):
    """List of strictly ascending numbers, such as thresholds. The numbers are drawn independently,
    then sorted.
    """

    kind: Literal["ascending"] = "ascending"
    num_values: int = Field(ge=1, le=64, description="Number of values in the list.")


class FallingTableConfig(_RangeConfig):
    """Table of numbers that never increase along a row or a column.

    The search draws the first cell, one drop between each pair of neighbouring rows, and one drop
    between each pair of neighbouring columns. A drop between rows is the same in all columns, and a
    drop between columns is the same in all rows. So a table takes num_rows + num_columns - 1 draws
    instead of num_rows x num_columns. Values below `low` are raised to `low`.
    """

    kind: Literal["falling_table"] = "falling_table"
    num_rows: int = Field(ge=1, le=32, description="Rows.")
    num_columns: int = Field(ge=1, le=32, description="Columns.")
    max_drop: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST_NUMBER,
        description=(
            "Largest drop from one row or column to the next; null divides the range evenly among"
            " all drops."
        ),
    )

    @property
    def largest_drop(self) -> float:
        """Return the largest drop that can be drawn between neighbouring rows or columns."""
        return self.max_drop or (self.high - self.low) / max(
            1, self.num_rows + self.num_columns - 2
        )


DistributionConfig = Annotated[
    UniformConfig
    | LogUniformConfig
    | IntUniformConfig
    | QuantizedUniformConfig
    | QuantizedLogUniformConfig
    | NormalConfig
    | QuantizedNormalConfig
    | ChoiceConfig
    | AscendingConfig
    | FallingTableConfig,
    Field(discriminator="kind"),
]

# The distributions whose values a grid can list.
ENUMERABLE = (ChoiceConfig, IntUniformConfig, QuantizedUniformConfig)
