"""A retraining: what `orchestrator retrain` reads, on every tick of its schedule."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.addresses import absolute_place, below
from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    MOST_BATCH,
    MOST_IMAGES,
    MOST_RETRIES,
    MOST_SECONDS,
    MOST_WEIGHT,
)
from orchestrator.config.experiment import Experiment
from orchestrator.config.gate import GateConfig
from orchestrator.config.monitoring import MonitoringConfig
from orchestrator.config.retraining_source import SourceConfig


class ShiftTestConfig(Config):
    """A two-sample test of each known class: the champion's embeddings of its new images against
    those of its held-out ones.
    """

    p_value: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description="A class counts as shifted below this p-value (of all dimensions together).",
    )
    min_images: int = Field(
        default=15,
        ge=5,
        le=MOST_IMAGES,
        description="Fewer new, or held-out known, images of a class are not tested.",
    )
    max_images: int = Field(
        default=500, ge=20, le=MOST_BATCH, description="At most so many images a side are embedded."
    )


class ReactionsConfig(Config):
    """What to do with what a scan finds. `refuse` ends the tick as rejected, with the reason,
    before anything is learned.
    """

    new_classes: Literal["learn", "warn", "refuse"] = Field(
        default="learn", description="Classes that the champion does not know."
    )
    more_samples: Literal["refresh", "warn", "refuse"] = Field(
        default="warn",
        description=(
            "More images of known classes. refresh learns again from the first task that they"
            " concern, whose images must be there."
        ),
    )
    min_refresh_fraction: float = Field(
        default=0.2,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "refresh waits until a class has grown by this share of the images it was learned from."
        ),
    )
    changed_files: Literal["warn", "refuse"] = Field(
        default="refuse", description="Files that the champion learned from and that differ now."
    )
    vanished_files: Literal["warn", "refuse"] = Field(
        default="warn", description="Files that the champion learned from, and that are gone."
    )
    vanished_classes: Literal["warn", "refuse"] = Field(
        default="refuse",
        description=(
            "Known classes of which no file has an image any more: the gate cannot judge them."
        ),
    )
    renamed_labels: Literal["warn", "refuse"] = Field(
        default="refuse",
        description=(
            "New labels whose images are known under another label: a renamed class, or wrong"
            " labels."
        ),
    )
    shift: Literal["warn", "refuse"] = Field(
        default="warn", description="Known classes whose new images differ from those learned."
    )
    rejected_files: Literal["quarantine", "retry"] = Field(
        default="quarantine",
        description=(
            "Files with which a candidate was rejected. quarantine leaves them out until they"
            " change where their content explains it (new classes that are not recognized), or a"
            " person has rejected it; else they are tried again as below. retry tries all of them"
            " again on every tick."
        ),
    )
    retry_after_seconds: float | None = Field(
        default=3600.0,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "A candidate that was rejected for no fault of its data is learned again with another"
            " seed by a tick so much later; null waits for new files."
        ),
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=MOST_RETRIES,
        description=(
            "At most so many other seeds while nothing new arrives; each is one more look at the"
            " same held-out images, for which the gate allows."
        ),
    )


class LeaseConfig(Config):
    """How ticks keep out of each other's way: one works, the others say `locked`."""

    uri: str | None = Field(
        default=None,
        description=(
            "Folder, s3:// or gs:// address of the journal; null means `retraining` in the"
            " experiment's stage store."
        ),
    )
    heartbeat_seconds: float = Field(
        default=10.0, gt=0, le=MOST_SECONDS, description="How often the holder shows that it lives."
    )
    expires_seconds: float = Field(
        default=60.0,
        gt=0,
        le=MOST_SECONDS,
        description=(
            "A holder without heartbeat for so long counts as dead; on its own machine that is seen"
            " at once."
        ),
    )

    @model_validator(mode="after")
    def _one_late_heartbeat_is_no_death(self) -> LeaseConfig:
        if self.expires_seconds < 2 * self.heartbeat_seconds:
            msg = (
                f"expires_seconds = {self.expires_seconds:g} is less than two heartbeats"
                f" ({2 * self.heartbeat_seconds:g} s): a holder that lives would be taken for dead;"
                " raise it"
            )
            raise ValueError(msg)
        return self

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str | None) -> str | None:
        return None if uri is None else absolute_place(uri)


class WebhookConfig(Config):
    """Who is told every outcome, as a POST of JSON."""

    url_variable: str = Field(
        default="ORCHESTRATOR_WEBHOOK_URL",
        description=(
            "Environment variable that holds the address: it is a secret. Not set means nobody."
        ),
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, le=MOST_SECONDS, description="How long one of three attempts may take."
    )


class Retraining(Config):
    """One retraining, completely described. Its models are NAME-teacher and NAME-student in the
    registry, by the experiment's name.
    """

    experiment: Experiment = Field(
        description=(
            "How to learn: an experiment file's path, from this file's folder, or its content. Data"
            " and tasks come from source."
        )
    )
    source: SourceConfig = Field(description="Where images arrive.")
    reactions: ReactionsConfig = Field(
        default_factory=ReactionsConfig, description="What to do with what is found there."
    )
    shift_test: ShiftTestConfig = Field(
        default_factory=ShiftTestConfig, description="When known classes count as shifted."
    )
    gate: GateConfig = Field(default_factory=GateConfig, description="What a candidate must show.")
    monitoring: MonitoringConfig = Field(
        default_factory=MonitoringConfig, description="When every tick warns."
    )
    lease: LeaseConfig = Field(
        default_factory=LeaseConfig, description="How ticks keep out of each other's way."
    )
    max_tick_age_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        description=(
            "A tick that was due longer ago is skipped, see --scheduled-at; null skips none."
        ),
    )
    webhook: WebhookConfig = Field(default_factory=WebhookConfig, description="Who is told.")

    @model_validator(mode="after")
    def _one_place_of_images_without_labels(self) -> Retraining:
        if self.source.unlabeled and self.experiment.data.unlabeled:
            msg = (
                "source.unlabeled and experiment.data.unlabeled both name images without labels;"
                " leave one of them out"
            )
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """What the models, the journal and the MLflow experiment are called."""
        return self.experiment.name

    @property
    def journal_uri(self) -> str:
        """Where the journal is."""
        return self.lease.uri or below(self.experiment.store.uri, "retraining")
