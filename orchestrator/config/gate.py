"""Configure the gate: what a candidate must show to become the champion."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config

_OLD_NAME = "old_accuracy_tolerance"


class GateConfig(Config):
    """Configure what a candidate must show on held-out images to become the champion.

    Every bound on an accuracy is a statement that must hold with `confidence`: it is *met* where
    chance alone cannot explain that the images agree with it, *violated* where chance cannot
    explain that they do not, and otherwise there are *not enough images*. Bounds hold for teacher
    and student unless said otherwise.
    """

    confidence: float = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description=(
            "Confidence of each statement; the more verdicts the same held-out images have given,"
            " the stricter it becomes."
        ),
    )
    margin: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description=(
            "What may be forgotten: choosing among the champion's classes, the accuracy may be"
            " lower than the champion's by this much. Called old_accuracy_tolerance before."
        ),
    )
    max_taken: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "What the new classes may take: share of the images of the champion's classes that are"
            " right among those, and go to a new class among all."
        ),
    )
    max_class_drop: float | None = Field(
        default=0.3,
        ge=0,
        le=1,
        description=(
            "No single class of the champion may lose more accuracy than this; null only reports"
            " the largest loss."
        ),
    )
    min_new_accuracy: float = Field(
        default=0.5, ge=0, le=1, description="Accuracy on the new classes, among all classes."
    )
    max_forgetting: float = Field(
        default=0.2, ge=-1, le=1, description="Forgetting over all tasks."
    )
    min_agreement: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the held-out images on which student and teacher agree.",
    )
    max_student_parameters: int | None = Field(
        default=None, ge=1, description="Size of the student; null means any."
    )
    max_student_latency_ms: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Median time of the student for one image on one CPU thread; null only reports it."
        ),
    )
    inconclusive: Literal["promote", "hold", "ask"] | None = Field(
        default=None,
        description=(
            "What to do where nothing is violated and images are too few to be sure: promote, hold"
            " until more have arrived, or ask a person. null goes by what would be lost: a"
            " candidate that is better over all classes, the new ones included, is promoted, any"
            " other is held."
        ),
    )
    shelf_life: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Verdicts from the same held-out images after which new ones are asked for.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_the_former_name(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        if not isinstance(given, dict) or _OLD_NAME not in given:
            return given
        if "margin" in given:
            msg = f"margin and {_OLD_NAME} are the same; leave {_OLD_NAME} out"
            raise ValueError(msg)
        return {("margin" if name == _OLD_NAME else name): it for name, it in given.items()}
