"""A Kubernetes cluster with KubeRay: where and how `orchestrator submit` runs jobs. The defaults
fit what k8s/base installs.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.cluster_jobs import LimitsConfig, ScheduleConfig, SweepScaleConfig
from orchestrator.config.cluster_nodes import GpuConfig, HeadConfig, WorkersConfig
from orchestrator.config.cluster_storage import StorageConfig, VolumeStorageConfig
from orchestrator.config.kubernetes_values import Name, Quantity, Uri, VariableName
from orchestrator.masking import shown

_SECRET_WORDS = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|_KEY$", re.IGNORECASE)
_TAG = re.compile(r":(?P<tag>[\w][\w.-]{0,127})$")


class SecretsConfig(Config):
    """Secrets of the namespace. Their keys become environment variables of the job; no value ever
    stands in a manifest.
    """

    tracking: Name | None = Field(
        default="mlflow-credentials",
        description="With MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; null means none.",
    )
    object_storage: Name | None = Field(
        default=None, description="With AWS_ACCESS_KEY_ID and the like; null means none."
    )
    webhook: Name | None = Field(
        default=None,
        description="With ORCHESTRATOR_WEBHOOK_URL, who is told of retrainings; null means none.",
    )

    studies: Name | None = Field(
        default=None,
        description="With ORCHESTRATOR_STORAGE, where sweeps write their studies; null means none.",
    )

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        secrets = (self.tracking, self.object_storage, self.webhook, self.studies)
        return [name for name in secrets if name is not None]


class ClusterTrackingConfig(Config):
    """MLflow as pods reach it, and as people do."""

    uri: Uri = Field(
        default="http://mlflow:5000", description="The server, or a database, as seen from pods."
    )
    ui_url: Uri | None = Field(
        default=None, description="Where people open it in a browser; null means at `uri`."
    )


class ClusterConfig(Config):
    """One cluster, as `orchestrator submit --cluster-config FILE` reads it."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = Field(
        default="orchestrator", description="Where jobs run."
    )
    image: str = Field(
        default="continual-orchestrator:0.2.0",
        description="Of every pod, with a tag that never moves, or a digest.",
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When nodes ask for it again."
    )
    image_pull_secret: Name | None = Field(
        default=None, description="Secret with which nodes may fetch the image; null means none."
    )
    ray_version: str = Field(
        default="2.60.0",
        pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$",
        description="Of the Ray in the image.",
    )
    service_account: Name = Field(
        default="orchestrator-job", description="Of Ray's pods; it needs no rights."
    )
    scheduler_account: Name = Field(
        default="orchestrator-scheduler",
        description="Of the small pods of a schedule; it may submit jobs.",
    )
    secrets: SecretsConfig = Field(
        default_factory=SecretsConfig, description="What pods are given as environment variables."
    )
    environment: dict[VariableName, str] = Field(
        default_factory=dict,
        description=(
            "Further environment variables that are no secrets, such as AWS_ENDPOINT_URL; none by"
            " which a value becomes code, such as LD_PRELOAD."
        ),
    )
    storage: StorageConfig = Field(
        default_factory=VolumeStorageConfig, description="Where the stage store is."
    )
    tracking: ClusterTrackingConfig = Field(
        default_factory=ClusterTrackingConfig, description="Where MLflow is."
    )
    head: HeadConfig = Field(default_factory=HeadConfig, description="Ray's head.")
    workers: WorkersConfig = Field(default_factory=WorkersConfig, description="Ray's workers.")
    gpu: GpuConfig = Field(default_factory=GpuConfig, description="Workers with GPUs.")
    scratch: Quantity = Field(
        default="20Gi",
        description="Most that a pod may write to its own disk: decoded images, logs, outputs.",
    )
    shared_memory: Quantity = Field(
        default="1Gi", description="Ray's object store in each pod; counts as its memory."
    )
    sweeps: SweepScaleConfig = Field(
        default_factory=SweepScaleConfig, description="Range of a sweep's workers."
    )
    limits: LimitsConfig = Field(default_factory=LimitsConfig, description="Deadlines and retries.")
    queue: Annotated[Name, Field(max_length=63)] | None = Field(
        default=None,
        description="Kueue's LocalQueue in which jobs wait for their turn; null means none.",
    )
    schedule: ScheduleConfig = Field(
        default_factory=ScheduleConfig, description="How retrainings are scheduled."
    )

    @field_validator("image")
    @classmethod
    def _is_pinned(cls, image: str) -> str:
        tag = _TAG.search(image)
        if "@sha256:" not in image and (tag is None or tag["tag"] == "latest"):
            msg = (
                f"{image!r} may be another image tomorrow; give a version as its tag, or a digest"
                " (@sha256:…)"
            )
            raise ValueError(msg)
        return image

    @field_validator("environment")
    @classmethod
    def _are_no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if _SECRET_WORDS.search(name) or shown(value) != value:
                msg = f"{name} looks like a secret; put it into a Secret that `secrets` names"
                raise ValueError(msg)
        return environment

    @model_validator(mode="after")
    def _a_ray_cron_job_has_no_queue(self) -> ClusterConfig:
        if self.queue is not None and self.schedule.kind == "ray_cron_job":
            msg = (
                f"queue = {self.queue!r} does not reach the jobs of schedule.kind = ray_cron_job;"
                " use cron_job, or leave the queue out"
            )
            raise ValueError(msg)
        return self
