"""Jobs of a cluster: how many workers they grow to, when they end, and when they start."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_RETRIES, MOST_SECONDS, MOST_WORKERS
from orchestrator.config.kubernetes_values import Quantity


class SweepScaleConfig(Config):
    """How far a sweep's workers grow with the trials that wait, and shrink when none do."""

    min_trials: int = Field(
        default=1,
        ge=1,
        le=MOST_WORKERS,
        description="Trials at once for which there are always workers.",
    )
    max_trials: int = Field(default=8, ge=1, le=MOST_WORKERS, description="Most trials at once.")
    idle_seconds: int = Field(
        default=60,
        ge=0,
        le=MOST_SECONDS,
        description="A worker that has nothing to do for so long is given back.",
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
    """When a job is given up, tried again, and cleared away."""

    running_seconds: int = Field(
        default=86400,
        ge=1,
        le=MOST_SECONDS,
        description="How long one attempt may take, from its start.",
    )
    starting_seconds: int = Field(
        default=1800,
        ge=1,
        le=MOST_SECONDS,
        description="How long an attempt may wait for its pods, images included.",
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=MOST_RETRIES,
        description=(
            "Attempts after the first, each on a new Ray cluster; what is in the stage store is not"
            " repeated."
        ),
    )
    ttl_seconds: int = Field(
        default=60,
        ge=0,
        le=MOST_SECONDS,
        description="How long the Ray cluster stays up after the end; it is paid for meanwhile.",
    )


class ScheduleConfig(Config):
    """How `submit retrain --schedule` has its ticks started."""

    kind: Literal["cron_job", "ray_cron_job"] = Field(
        default="cron_job",
        description=(
            "cron_job: a small pod submits each tick's job and follows it; ray_cron_job: KubeRay,"
            " see k8s/components/raycronjob."
        ),
    )
    time_zone: str = Field(
        default="Etc/UTC", description="In which the schedule is meant, such as Europe/Berlin."
    )
    starting_deadline_seconds: int = Field(
        default=600,
        ge=10,
        le=MOST_SECONDS,
        description="A tick that could not start for so long is left out.",
    )
    keep_finished: int = Field(
        default=3, ge=0, le=MOST_RETRIES, description="Finished ticks that stay, with their logs."
    )
    keep_finished_seconds: int = Field(
        default=86400,
        ge=0,
        le=MOST_SECONDS,
        description="The same with ray_cron_job, which counts time and not ticks.",
    )
    cpu: Quantity = Field(default="500m", description="CPUs of the small pod.")
    memory: Quantity = Field(default="512Mi", description="Its memory.")

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{time_zone!r} is no time zone; write it as in Europe/Berlin or Etc/UTC"
            raise ValueError(msg) from None
        return time_zone
