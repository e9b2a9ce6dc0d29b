"""Configure the gate: the conditions under which a candidate becomes the champion."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_PARAMETERS, MOST_SECONDS

_OLD_NAME = "old_accuracy_tolerance"


class GateConfig(Config):
    """Conditions that a candidate must meet on held-out images to become the champion.

    Every bound on an accuracy is a condition that must hold with `confidence`. A condition is *met*
    if the images agree with it, and *violated* if the images contradict it, provided that chance
    alone cannot explain the result. If chance alone can explain the result, the condition is
    undecided (*not enough images*). Bounds apply to teacher and student unless stated otherwise.
    """

    confidence: float = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description=(
            "Confidence required of each statement; the requirement tightens with every verdict"
            " based on the same held-out images."
        ),
    )
    margin: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description=(
            "Largest allowed drop below the champion's accuracy, if both models choose among the"
            " champion's classes only. Formerly old_accuracy_tolerance."
        ),
    )
    max_taken: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "Largest share of the images of the champion's classes that are classified correctly"
            " among those classes, but assigned to a new class among all classes."
        ),
    )
    max_class_drop: float | None = Field(
        default=0.3,
        ge=0,
        le=1,
        description=(
            "Largest accuracy drop of any single class of the champion; null only reports the"
            " largest drop."
        ),
    )
    min_new_accuracy: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Smallest accuracy on the new classes, if the model chooses among all classes.",
    )
    max_forgetting: float = Field(
        default=0.2, ge=-1, le=1, description="Largest allowed forgetting over all tasks."
    )
    min_agreement: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Smallest share of the held-out images on which student and teacher agree.",
    )
    max_student_parameters: int | None = Field(
        default=None,
        ge=1,
        le=MOST_PARAMETERS,
        description="Largest number of parameters of the student; null means no bound.",
    )
    max_student_latency_ms: float | None = Field(
        default=None,
        gt=0,
        le=1000 * MOST_SECONDS,
        description=(
            "Largest median time, in milliseconds, that the student takes for one image on one CPU"
            " thread; null only reports the time."
        ),
    )
    inconclusive: Literal["promote", "hold", "ask"] | None = Field(
        default=None,
        description=(
            "Decision if nothing is violated but there are too few images to be sure: promote, hold"
            " until more have arrived, or ask a person. null decides by measured accuracy: promote"
            " a candidate that is better over all classes, new ones included, unless it appears to"
            " miss the minimum on the new classes; hold any other candidate."
        ),
    )
    shelf_life: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description=(
            "Number of verdicts based on the same held-out images after which new images"
            " are requested."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_the_former_name(cls, given: Any) -> Any:  # noqa: ANN401 - a file may hold any value
        if not isinstance(given, dict) or _OLD_NAME not in given:
            return given
        if "margin" in given:
            msg = (
                f"margin and {_OLD_NAME} are the same setting; remove {_OLD_NAME}, its former name"
            )
            raise ValueError(msg)
        rest = {name: it for name, it in given.items() if name != _OLD_NAME}
        return {**_bounds_of_former_name(given[_OLD_NAME]), "margin": given[_OLD_NAME], **rest}

    def meaning(self) -> list[str]:
        """Return the conditions of the gate as text, one sentence per condition."""
        undecided = {
            "promote": "the candidate is promoted",
            "hold": "the candidate is held until more images have arrived",
            "ask": "a person is asked",
            None: (
                "the candidate is promoted if its measured accuracy is better over all classes and"
                " reaches the minimum on the new ones; otherwise the candidate is held"
            ),
        }[self.inconclusive]
        sentences = [
            f"with {self.confidence:.1%} confidence in each statement, for both candidate models:",
            f"accuracy among the champion's classes alone drops by at most {self.margin:.1%}",
            f"new classes take at most {self.max_taken:.1%} of images of the champion's classes",
            ""
            if self.max_class_drop is None
            else f"the accuracy drop of each champion class is at most {self.max_class_drop:.1%}",
            f"at least {self.min_new_accuracy:.1%} of the new classes' images are recognised",
            f"forgetting over all tasks is at most {self.max_forgetting:.1%}",
            f"student and teacher agree on at least {self.min_agreement:.1%} of the images",
            f"where images are too few to tell, {undecided}",
        ]
        return [sentence for sentence in sentences if sentence]


def _bounds_of_former_name(tolerance: object) -> dict[str, float]:
    """Return the values of the bounds that, together with `margin`, replace
    `old_accuracy_tolerance`.

    The former setting limited every kind of accuracy loss; no returned bound is stricter than the
    former setting.
    """
    if not isinstance(tolerance, int | float):  # validation of `margin` rejects a non-number
        return {}
    return {
        name: max(tolerance, GateConfig.model_fields[name].default)
        for name in ("max_taken", "max_class_drop")
    }
