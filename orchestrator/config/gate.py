"""Configure the gate: what a candidate must show to become the champion."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_PARAMETERS, MOST_SECONDS

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
        default=None, ge=1, le=MOST_PARAMETERS, description="Size of the student; null means any."
    )
    max_student_latency_ms: float | None = Field(
        default=None,
        gt=0,
        le=1000 * MOST_SECONDS,
        description=(
            "Median time of the student for one image on one CPU thread; null only reports it."
        ),
    )
    inconclusive: Literal["promote", "hold", "ask"] | None = Field(
        default=None,
        description=(
            "What to do where nothing is violated and images are too few to be sure: promote, hold"
            " until more have arrived, or ask a person. null goes by what would be lost: a"
            " candidate that is better over all classes, the new ones included, is promoted, unless"
            " it seems to miss the minimum on the new classes; any other is held."
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
        rest = {name: it for name, it in given.items() if name != _OLD_NAME}
        return {**_bounds_of_former_name(given[_OLD_NAME]), "margin": given[_OLD_NAME], **rest}

    def meaning(self) -> list[str]:
        """Return what the gate demands, a sentence a statement."""
        undecided = {
            "promote": "it is promoted",
            "hold": "it is held until more images have arrived",
            "ask": "a person is asked",
            None: (
                "it is promoted if it is better over all classes and reaches the minimum on the new"
                " ones as measured, and else held"
            ),
        }[self.inconclusive]
        sentences = [
            f"with {self.confidence:.1%} confidence in each statement, for teacher and student:",
            f"among the champion's classes it loses at most {self.margin:.1%}",
            f"new classes take at most {self.max_taken:.1%} of the images of the champion's",
            ""
            if self.max_class_drop is None
            else f"no class of the champion loses more than {self.max_class_drop:.1%}",
            f"it recognises at least {self.min_new_accuracy:.1%} of the new classes' images",
            f"it forgets at most {self.max_forgetting:.1%}",
            f"student and teacher agree on at least {self.min_agreement:.1%} of the images",
            f"where images are too few to tell, {undecided}",
        ]
        return [sentence for sentence in sentences if sentence]


def _bounds_of_former_name(tolerance: object) -> dict[str, float]:
    """Return bounds at least as wide: the former one held for everything that could be lost."""
    if not isinstance(tolerance, int | float):  # the field itself says what is wrong
        return {}
    return {
        name: max(tolerance, GateConfig.model_fields[name].default)
        for name in ("max_taken", "max_class_drop")
    }
