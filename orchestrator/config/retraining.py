"""Configure a retraining. `orchestrator retrain` reads the configuration on every tick of its
schedule.
"""

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
    """Two-sample test of whether the images of a known class have shifted. For each known class,
    the test compares the champion's embeddings of new images with those of held-out images.
    """

    p_value: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description=(
            "p-value, over all dimensions of the embeddings together, below which a class counts as"
            " shifted."
        ),
    )
    min_images: int = Field(
        default=15,
        ge=5,
        le=MOST_IMAGES,
        description="Smallest number of new images, and of held-out images, of a class to test.",
    )
    max_images: int = Field(
        default=500,
        ge=20,
        le=MOST_BATCH,
        description="Largest number of new images, and of held-out images, of a class to embed.",
    )


class ReactionsConfig(Config):
    """Reactions to the changes that a tick (one run of `orchestrator retrain`) finds in the source
    of images. With `refuse`, the tick ends as rejected before a candidate is learned, and reports
    the reason.
    """

    new_classes: Literal["learn", "warn", "refuse"] = Field(
        default="learn", description="Reaction to classes that the champion does not know."
    )
    more_samples: Literal["refresh", "warn", "refuse"] = Field(
        default="warn",
        description=(
            "Reaction to more images of known classes. refresh learns the first affected task and"
            " all later tasks again; their images must still exist."
        ),
    )
    min_refresh_fraction: float = Field(
        default=0.2,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Growth of a class, as a share of the images it was learned from, that triggers"
            " refresh."
        ),
    )
    changed_files: Literal["warn", "refuse"] = Field(
        default="refuse",
        description="Reaction to changed files among those that the champion learned from.",
    )
    vanished_files: Literal["warn", "refuse"] = Field(
        default="warn",
        description="Reaction to missing files among those that the champion learned from.",
    )
    vanished_classes: Literal["warn", "refuse"] = Field(
        default="refuse",
        description=(
            "Reaction to known classes that no longer have an image in any file; the gate cannot"
            " judge them."
        ),
    )
    renamed_labels: Literal["warn", "refuse"] = Field(
        default="refuse",
        description=(
            "Reaction to new labels whose images are known under another label: a renamed class,"
            " or wrong labels."
        ),
    )
    shift: Literal["warn", "refuse"] = Field(
        default="warn",
        description=(
            "Reaction to known classes whose new images differ from the images learned from."
        ),
    )
    rejected_files: Literal["quarantine", "retry"] = Field(
        default="quarantine",
        description=(
            "Treatment of the files of a rejected candidate. quarantine skips them until they"
            " change if their content explains the rejection (new classes that are not"
            " recognised) or a person rejected the candidate; otherwise retry_after_seconds and"
            " max_retries apply. retry uses all of them again on every tick."
        ),
    )
    retry_after_seconds: float | None = Field(
        default=3600.0,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Seconds after which a tick retries, with another seed, a candidate whose data did"
            " not cause the rejection; null waits for new files."
        ),
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=MOST_RETRIES,
        description=(
            "Largest number of retries while nothing new arrives; each retry evaluates the same"
            " held-out images once more, which the gate takes into account."
        ),
    )


class LeaseConfig(Config):
    """Lease that lets only one tick (one run of `orchestrator retrain`) work at a time. A tick that
    does not get the lease ends with the outcome `locked`.
    """

    uri: str | None = Field(
        default=None,
        description=(
            "Folder, or s3:// or gs:// address, of the journal; null means `retraining` in the"
            " stage store of the experiment."
        ),
    )
    heartbeat_seconds: float = Field(
        default=10.0,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds between heartbeats of the lease holder.",
    )
    expires_seconds: float = Field(
        default=60.0,
        gt=0,
        le=MOST_SECONDS,
        description=(
            "Seconds without a heartbeat after which a lease holder counts as dead; on the same"
            " machine a dead holder is detected at once."
        ),
    )

    @model_validator(mode="after")
    def _one_late_heartbeat_is_no_death(self) -> LeaseConfig:
        if self.expires_seconds < 2 * self.heartbeat_seconds:
            msg = (
                f"expires_seconds = {self.expires_seconds:g} is less than two heartbeats"
                f" ({2 * self.heartbeat_seconds:g} s): a live holder would be considered dead;"
                " raise it"
            )
            raise ValueError(msg)
        return self

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str | None) -> str | None:
        return None if uri is None else absolute_place(uri)


class WebhookConfig(Config):
    """Webhook that receives outcomes as JSON in a POST request: those of ticks (runs of
    `orchestrator retrain`; none for a dry run), failures included, and those of a person's
    decisions about a candidate.
    """

    url_variable: str = Field(
        default="ORCHESTRATOR_WEBHOOK_URL",
        description=(
            "Environment variable that holds the address, which is a secret; if it is unset,"
            " nothing is sent."
        ),
    )
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=MOST_SECONDS,
        description="Time limit in seconds for each of the three attempts to send the message.",
    )


class Retraining(Config):
    """Complete description of one retraining. In the model registry, the models of a retraining are
    NAME-teacher and NAME-student, where NAME is the name of the experiment.
    """

    experiment: Experiment = Field(
        description=(
            "Experiment to train: the path of an experiment file, relative to this file's folder,"
            " or its content. Data and tasks come from source."
        )
    )
    source: SourceConfig = Field(description="Folder in which images arrive.")
    reactions: ReactionsConfig = Field(
        default_factory=ReactionsConfig,
        description="Reactions to the findings of a scan of the source.",
    )
    shift_test: ShiftTestConfig = Field(
        default_factory=ShiftTestConfig,
        description="Test of whether the images of known classes have shifted.",
    )
    gate: GateConfig = Field(
        default_factory=GateConfig,
        description="Conditions under which a candidate becomes the champion.",
    )
    monitoring: MonitoringConfig = Field(
        default_factory=MonitoringConfig,
        description="Monitoring of unlabelled images and silent folders on every tick.",
    )
    lease: LeaseConfig = Field(
        default_factory=LeaseConfig, description="Lease that lets one tick work at a time."
    )
    max_tick_age_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        description=(
            "Age in seconds, counted from --scheduled-at, beyond which a tick is skipped; null"
            " skips no tick."
        ),
    )
    webhook: WebhookConfig = Field(
        default_factory=WebhookConfig, description="Webhook that receives every outcome."
    )

    @model_validator(mode="after")
    def _one_place_of_images_without_labels(self) -> Retraining:
        if self.source.unlabeled and self.experiment.data.unlabeled:
            msg = (
                "source.unlabeled and experiment.data.unlabeled both name unlabelled images;"
                " remove one of them"
            )
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """Return the experiment's name, which also names the models, the journal and the MLflow
        experiment.
        """
        return self.experiment.name

    @property
    def journal_uri(self) -> str:
        """Return the address of the journal."""
        return self.lease.uri or below(self.experiment.store.uri, "retraining")
