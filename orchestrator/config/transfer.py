"""Rules that select the transfer ratio TSSR from KDR and TSTR [patent B step 5].

The abstract says only that TSSR is "selected"; the rules are ours. All are monotone: early or
dissimilar leans on the teacher (large TSSR), late and similar leans on the real answers.

The abstract's steps hold for a batch and for a single sample alike. A rule selects once for each
batch, from the mean KDR of its samples, or once for each sample, from its own KDR.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.extensions import Extension, OpenUnion
from orchestrator.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
Similarity = Literal["jensen_shannon", "cosine", "answer"]


class TransferRule(Config):
    """Select the transfer ratio of a batch or of a sample: what every rule can do."""

    similarity: Similarity = Field(
        default="jensen_shannon",
        description=(
            "How KDR compares teacher and student: 1 - JS divergence / ln 2, or cosine; answer"
            " compares the teacher with the real answer: the probability that it gives the label."
        ),
    )

    @property
    def is_per_sample(self) -> bool:
        """Return whether every sample gets its own ratio, instead of one for the whole batch."""
        return False

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the share of the teacher's knowledge in the target, in [0, 1].

        Args:
            kdr: Similarity of student and teacher, in [0, 1].
            tstr: Training progress, in [0, 1].
        """
        raise ConfigError(
            f"the transfer rule {getattr(self, 'kind', '')!r} does not override `tssr`",
            "student.transfer.kind",
            "update or uninstall the package that offers it",
        )

    def checked_tssr(self, kdr: float, tstr: float) -> float:
        """Return `tssr`, after checking that it is a share: a rule may come from outside.

        Args:
            kdr: Similarity of student and teacher, in [0, 1].
            tstr: Training progress, in [0, 1].

        Raises:
            ConfigError: It is no number in [0, 1].
        """
        ratio: object = self.tssr(kdr, tstr)
        if not (isinstance(ratio, int | float) and 0 <= ratio <= 1):  # NaN compares false
            raise ConfigError(
                f"tssr(kdr={kdr}, tstr={tstr}) = {ratio!r} is no number in [0, 1]",
                f"student.transfer.kind = {getattr(self, 'kind', '')}",
                "update or uninstall the package that offers it",
            )
        return float(ratio)

    def tssr_of_samples(self, kdr: Sequence[float], tstr: float) -> list[float]:
        """Return `checked_tssr` of each sample, whether or not `is_per_sample`.

        Args:
            kdr: Similarity of each sample, in [0, 1].
            tstr: Training progress, in [0, 1].

        Raises:
            ConfigError: One ratio is no number in [0, 1].
        """
        return [self.checked_tssr(of_sample, tstr) for of_sample in kdr]


class ThresholdTransferConfig(TransferRule):
    """TSSR from a table: rows by similarity (KDR), columns by training progress (TSTR) [B step
    5].
    """

    kind: Literal["threshold"] = "threshold"
    per: Literal["batch", "sample"] = Field(
        default="batch",
        description="Whether the table is read once a batch, by its mean KDR, or once a sample.",
    )
    similarity_thresholds: tuple[Fraction, ...] = Field(
        default=(0.9, 0.97), description="Ascending limits in KDR between the rows."
    )
    progress_thresholds: tuple[Fraction, ...] = Field(
        default=(0.3, 0.7), description="Ascending limits in TSTR between the columns."
    )
    ratios: tuple[tuple[Fraction, ...], ...] = Field(
        default=((1.0, 0.9, 0.7), (0.9, 0.7, 0.5), (0.7, 0.5, 0.3)),
        description=(
            "ratios[similarity][progress]; may grow neither with similarity nor with progress."
        ),
    )

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> ThresholdTransferConfig:
        for name in ("similarity_thresholds", "progress_thresholds"):
            thresholds = getattr(self, name)
            for index, (lower, upper) in enumerate(pairwise(thresholds)):
                if lower >= upper:
                    msg = (
                        f"{name}[{index}] = {lower} is not below {name}[{index + 1}] = {upper};"
                        " list them in ascending order"
                    )
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_ratio_per_cell(self) -> ThresholdTransferConfig:
        num_rows, num_columns = (
            len(self.similarity_thresholds) + 1,
            len(self.progress_thresholds) + 1,
        )
        if len(self.ratios) != num_rows:
            msg = (
                f"ratios has {len(self.ratios)} rows; {num_rows - 1} similarity_thresholds cut KDR"
                f" into {num_rows}"
            )
            raise ValueError(msg)
        for index, row in enumerate(self.ratios):
            if len(row) != num_columns:
                msg = (
                    f"ratios[{index}] has {len(row)} values; {num_columns - 1} progress_thresholds"
                    f" cut TSTR into {num_columns}"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _ratios_do_not_grow(self) -> ThresholdTransferConfig:
        for i, row in enumerate(self.ratios):
            for j, ratio in enumerate(row):
                if i and ratio > self.ratios[i - 1][j]:
                    raise ValueError(
                        _grows(
                            f"ratios[{i}][{j}]",
                            ratio,
                            f"ratios[{i - 1}][{j}]",
                            self.ratios[i - 1][j],
                            "similarity",
                        )
                    )
                if j and ratio > row[j - 1]:
                    raise ValueError(
                        _grows(
                            f"ratios[{i}][{j}]",
                            ratio,
                            f"ratios[{i}][{j - 1}]",
                            row[j - 1],
                            "progress",
                        )
                    )
        return self

    @property
    def is_per_sample(self) -> bool:
        """Return whether the table is read once a sample."""
        return self.per == "sample"

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the ratio of the cell in which both lie."""
        row = bisect_right(self.similarity_thresholds, kdr)
        return self.ratios[row][bisect_right(self.progress_thresholds, tstr)]


def _grows(larger_name: str, larger: float, smaller_name: str, smaller: float, axis: str) -> str:
    return (
        f"{larger_name} = {larger} exceeds {smaller_name} = {smaller}: the ratio may not grow with"
        f" {axis}; swap them or lower it"
    )


class FixedTransferConfig(TransferRule):
    """One TSSR for the whole training: plain distillation, the baseline to beat."""

    kind: Literal["fixed"] = "fixed"
    ratio: Fraction = Field(default=0.5, description="The TSSR.")

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the same ratio always."""
        return self.ratio


class LinearTransferConfig(TransferRule):
    """TSSR falls in a straight line with training progress, whatever the similarity."""

    kind: Literal["linear"] = "linear"
    start: Fraction = Field(default=1.0, description="TSSR at the first step.")
    end: Fraction = Field(default=0.0, description="TSSR at the end of the stage.")

    @model_validator(mode="after")
    def _falls(self) -> LinearTransferConfig:
        if self.end > self.start:
            msg = (
                f"end = {self.end} exceeds start = {self.start}: the ratio may not grow with"
                " progress; swap them"
            )
            raise ValueError(msg)
        return self

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the point of the line at this progress."""
        return self.start + (self.end - self.start) * tstr


class PerSampleTransferConfig(TransferRule):
    """TSSR of each sample falls with the sample's own similarity k: `m (1 - k) / (m (1 - k) +
    (1 - m) k)` of the way from `lowest` to `highest`, with the midpoint m.

    With `similarity: answer` and the defaults TSSR is 1 - the teacher's probability of the given
    label: a label that the teacher doubts hardly counts, and its own knowledge counts instead.
    Built for data with wrong labels. Near 0 the midpoint lets real answers count unless the teacher
    is sure that they are wrong, near 1 it leaves them out unless the teacher is sure.

    Measured on validation images of CIFAR-10 (inherited student that is not taught, one draw), in
    points against the best of the fixed ratios 0.1 to 0.9 at 0, 20, 40 and 60 % wrong labels: the
    defaults -0.4, -0.5, -0.6 and -0.3; highest 0.8 with lowest 0.6 -0.2, -0.2, -0.1 and -0.2;
    highest 0.9 with lowest 0.6 -0.4, -0.3, -0.2 and +0.1. The standard error is 0.6.
    """

    kind: Literal["per_sample"] = "per_sample"
    similarity: Similarity = Field(
        default="answer", description=TransferRule.model_fields["similarity"].description
    )
    highest: Fraction = Field(default=1.0, description="TSSR of a sample whose KDR is 0.")
    lowest: Fraction = Field(default=0.0, description="TSSR of a sample whose KDR is 1.")
    midpoint: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "KDR at which TSSR lies half-way between highest and lowest; at 0.5 it falls in a"
            " straight line."
        ),
    )

    @model_validator(mode="after")
    def _falls(self) -> PerSampleTransferConfig:
        if self.lowest > self.highest:
            raise ValueError(
                _grows("lowest", self.lowest, "highest", self.highest, axis="similarity")
            )
        return self

    @property
    def is_per_sample(self) -> bool:
        """Return True."""
        return True

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the point of the curve at this similarity, whatever the progress."""
        trust = kdr * (1 - self.midpoint)
        trust /= trust + (1 - kdr) * self.midpoint
        return self.highest + (self.lowest - self.highest) * trust


class TransferRuleExtension(Extension, TransferRule):
    """Base of the configuration of a transfer rule (`orchestrator.transfer_rules`).

    A subclass overrides `tssr`; its entry point offers nothing further. It overrides
    `is_per_sample` to be asked for the ratio of each sample, instead of each batch.
    """

    group: ClassVar[str] = "orchestrator.transfer_rules"


BuiltInTransferConfig = Annotated[
    ThresholdTransferConfig | FixedTransferConfig | LinearTransferConfig | PerSampleTransferConfig,
    Field(discriminator="kind"),
]
TransferConfig = Annotated[
    BuiltInTransferConfig | TransferRuleExtension,
    OpenUnion(TransferRuleExtension, BuiltInTransferConfig),
]
