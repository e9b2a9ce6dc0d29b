"""Configure the jobs of a cluster: number of workers, time limits, retries and schedule."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_RETRIES, MOST_SECONDS, MOST_WORKERS
from orchestrator.config.kubernetes_values import Quantity


class SweepScaleConfig(Config):
    """Bounds for the number of workers of a sweep, given as numbers of concurrent trials. Within
    the bounds, Ray adds workers while trials wait, and removes idle workers.
    """

    min_trials: int = Field(
        default=1,
        ge=1,
        le=MOST_WORKERS,
        description="Number of concurrent trials for which workers are always kept.",
    )
    max_trials: int = Field(
        default=8, ge=1, le=MOST_WORKERS, description="Largest number of concurrent trials."
    )
    idle_seconds: int = Field(
        default=60,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds after which an idle worker is removed.",
    )

    @model_validator(mode="after")
    def _range_ascends(self) -> SweepScaleConfig:
        if self.min_trials > self.max_trials:
            msg = (
                f"min_trials = {self.min_trials} exceeds max_trials = {self.max_trials}; swap them"
            )
            raise ValueError(msg)
        return self


class LimitsConfig(Config):
    """Time limits, retries and clean-up of a job."""

    running_seconds: int = Field(
        default=86400,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds that one attempt at a job may take, from its start.",
    )
    starting_seconds: int = Field(
        default=1800,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds that an attempt at a job may wait for its pods, image pulls included.",
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=MOST_RETRIES,
        description=(
            "Further attempts at a failed job, each on a new Ray cluster; stages in the stage store"
            " are reused."
        ),
    )
    ttl_seconds: int = Field(
        default=60,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Seconds that the Ray cluster stays up after the job ends; it costs money meanwhile."
        ),
    )


class ScheduleConfig(Config):
    """Settings of `submit retrain --schedule`: how a tick (one run of `orchestrator retrain`)
    starts, and how long finished ticks are kept.
    """

    kind: Literal["cron_job", "ray_cron_job"] = Field(
        default="cron_job",
        description=(
            "cron_job: a small pod submits each tick's job and follows it; ray_cron_job: KubeRay"
            " creates each tick's job, see k8s/components/raycronjob."
        ),
    )
    time_zone: str = Field(
        default="Etc/UTC", description="Time zone of the schedule, such as Europe/Berlin."
    )
    starting_deadline_seconds: int = Field(
        default=600,
        ge=10,
        le=MOST_SECONDS,
        description="A tick that could not start within this many seconds is skipped.",
    )
    keep_finished: int = Field(
        default=3,
        ge=0,
        le=MOST_RETRIES,
        description="Number of finished ticks to keep, with their logs.",
    )
    keep_finished_seconds: int = Field(
        default=86400,
        ge=0,
        le=MOST_SECONDS,
        description=(
            "Seconds to keep a finished tick if kind is ray_cron_job, which ignores keep_finished."
        ),
    )
    cpu: Quantity = Field(default="500m", description="CPUs of the pod that submits a tick's job.")
    memory: Quantity = Field(
        default="512Mi", description="Memory of the pod that submits a tick's job."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{time_zone!r} is not a time zone; write it as in Europe/Berlin or Etc/UTC"
            raise ValueError(msg) from None
        return time_zone
