"""Define the rules that select TSSR, the teacher's share in the student's targets.

A rule uses KDR (the similarity of student and teacher) and TSTR (the training progress). The
abstract of patent B (step 5 in docs/method.md) says only that TSSR is "selected"; the rules are
this project's own. The TSSR of a built-in rule never grows with KDR or TSTR: the teacher dominates
early or at low similarity, and the labels dominate late and at high similarity.

A rule selects TSSR once per batch, from the mean KDR of the batch, or once per sample.
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
    """Base class of the rules that select TSSR, the teacher's share in the student's targets."""

    similarity: Similarity = Field(
        default="jensen_shannon",
        description=(
            "Similarity that KDR measures between teacher and student: jensen_shannon (1 - JS"
            " divergence / ln 2) or cosine; answer instead measures the probability that the"
            " teacher gives to the label."
        ),
    )

    @property
    def is_per_sample(self) -> bool:
        """Return whether every sample gets its own TSSR (teacher's share in the target)."""
        return False

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return TSSR, the teacher's share in the student's targets, in [0, 1].

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
        """Return TSSR (the teacher's share in the student's targets) after checking that it is in
        [0, 1], because an extension may provide the rule.

        Args:
            kdr: Similarity of student and teacher, in [0, 1].
            tstr: Training progress, in [0, 1].

        Raises:
            ConfigError: `tssr` returns something other than a number in [0, 1].
        """
        ratio: object = self.tssr(kdr, tstr)
        if not (isinstance(ratio, int | float) and 0 <= ratio <= 1):  # false for NaN
            raise ConfigError(
                f"tssr(kdr={kdr}, tstr={tstr}) = {ratio!r} is not a number in [0, 1]",
                f"student.transfer.kind = {getattr(self, 'kind', '')}",
                "update or uninstall the package that offers it",
            )
        return float(ratio)

    def tssr_of_samples(self, kdr: Sequence[float], tstr: float) -> list[float]:
        """Return TSSR (teacher's share in the target) per sample, even if the rule is per batch.

        Args:
            kdr: Similarity of each sample, in [0, 1].
            tstr: Training progress, in [0, 1].

        Raises:
            ConfigError: `tssr` returns something other than a number in [0, 1].
        """
        return [self.checked_tssr(of_sample, tstr) for of_sample in kdr]


class ThresholdTransferConfig(TransferRule):
    """TSSR (the teacher's share in the student's targets) from a table. A row covers a range of
    similarity (KDR), and a column covers a range of training progress (TSTR).
    """

    kind: Literal["threshold"] = "threshold"
    per: Literal["batch", "sample"] = Field(
        default="batch",
        description=(
            "batch looks TSSR up once per batch, by its mean KDR; sample looks it up for every"
            " sample."
        ),
    )
    similarity_thresholds: tuple[Fraction, ...] = Field(
        default=(0.9, 0.97), description="Ascending KDR thresholds between rows of ratios."
    )
    progress_thresholds: tuple[Fraction, ...] = Field(
        default=(0.3, 0.7), description="Ascending TSTR thresholds between columns of ratios."
    )
    ratios: tuple[tuple[Fraction, ...], ...] = Field(
        default=((1.0, 0.9, 0.7), (0.9, 0.7, 0.5), (0.7, 0.5, 0.3)),
        description=(
            "TSSR by ratios[similarity][progress]; it may increase neither with similarity nor"
            " with progress."
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
        """Return whether the table is looked up for every sample instead of once per batch."""
        return self.per == "sample"

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return TSSR (teacher's share in the target) from the table cell for `kdr` and `tstr`."""
        row = bisect_right(self.similarity_thresholds, kdr)
        return self.ratios[row][bisect_right(self.progress_thresholds, tstr)]


def _grows(larger_name: str, larger: float, smaller_name: str, smaller: float, axis: str) -> str:
    return (
        f"{larger_name} = {larger} exceeds {smaller_name} = {smaller}: the ratio may not grow with"
        f" {axis}; swap them or lower it"
    )


class FixedTransferConfig(TransferRule):
    """Constant TSSR (teacher's share in the target), as in plain distillation; a baseline."""

    kind: Literal["fixed"] = "fixed"
    ratio: Fraction = Field(default=0.5, description="The TSSR.")

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return the constant TSSR (teacher's share in the target), whatever the arguments."""
        return self.ratio


class LinearTransferConfig(TransferRule):
    """TSSR (teacher's share in the target) that falls linearly with training progress only."""

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
        """Return TSSR (teacher's share in the target) at the given training progress `tstr`."""
        return self.start + (self.end - self.start) * tstr


class PerSampleTransferConfig(TransferRule):
    """Per-sample TSSR (teacher's share in the target), which falls as the similarity k grows:
    `lowest + (highest - lowest) * m (1 - k) / (m (1 - k) + (1 - m) k)`, where m is the midpoint.

    With `similarity: answer` and the defaults, TSSR is 1 - the teacher's probability of the given
    label. A label that the teacher doubts hardly counts, and the teacher's own knowledge counts
    instead. This rule is designed for data with wrong labels. With a midpoint near 0, labels count
    unless the teacher is sure that they are wrong; with a midpoint near 1, labels count only if the
    teacher is sure that they are right.

    CIFAR-10 validation accuracy minus that of the best fixed TSSR (0.1 to 0.9), in percentage
    points at 0, 20, 40 and 60 % wrong labels: the defaults give -0.4, -0.5, -0.6 and -0.3; TSSR
    from 0.6 to 0.8 gives -0.2, -0.2, -0.1 and -0.2; TSSR from 0.6 to 0.9 gives -0.4, -0.3, -0.2 and
    +0.1. The standard error is 0.6 (inherited student, no teaching, one seed).
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
            "KDR at which TSSR is halfway between highest and lowest; at 0.5, TSSR falls linearly."
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
        """Return True: TSSR (teacher's share in the target) is selected for every sample."""
        return True

    def tssr(self, kdr: float, tstr: float) -> float:
        """Return TSSR (teacher's share in the target) at the given similarity `kdr`."""
        trust = kdr * (1 - self.midpoint)
        trust /= trust + (1 - kdr) * self.midpoint
        return self.highest + (self.lowest - self.highest) * trust


class TransferRuleExtension(Extension, TransferRule):
    """Base class for the configuration of a transfer rule extension, an entry point of the group
    `orchestrator.transfer_rules`.

    A subclass overrides `tssr`, which selects TSSR (the teacher's share in the target). The entry
    point's object needs no further members. A rule that selects TSSR per sample instead of per
    batch also overrides `is_per_sample`.
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
