"""Configure a Kubernetes cluster with KubeRay, on which `orchestrator submit` runs jobs. The
defaults match the objects that k8s/base installs.
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
    """Kubernetes Secrets of the namespace. The keys of a Secret become environment variables of the
    job; a manifest never contains the value of a secret.
    """

    tracking: Name | None = Field(
        default="mlflow-credentials",
        description=(
            "Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; null means none."
        ),
    )
    object_storage: Name | None = Field(
        default=None,
        description=(
            "Secret with the credentials of the bucket, such as AWS_ACCESS_KEY_ID; null means none."
        ),
    )
    webhook: Name | None = Field(
        default=None,
        description=(
            "Secret with ORCHESTRATOR_WEBHOOK_URL, which receives the outcomes of retrainings;"
            " null means none."
        ),
    )

    studies: Name | None = Field(
        default=None,
        description=(
            "Secret with ORCHESTRATOR_STORAGE, where sweeps write their studies; null means none."
        ),
    )

    @property
    def names(self) -> list[str]:
        """Return the names of the Kubernetes Secrets that the configuration names."""
        secrets = (self.tracking, self.object_storage, self.webhook, self.studies)
        return [name for name in secrets if name is not None]


class ClusterTrackingConfig(Config):
    """Two addresses of MLflow: the address that pods use, and the address that people open in a
    browser.
    """

    uri: Uri = Field(
        default="http://mlflow:5000", description="MLflow server or database, as seen from pods."
    )
    ui_url: Uri | None = Field(
        default=None,
        description="Address at which people open MLflow in a browser; null means `uri`.",
    )


class ClusterConfig(Config):
    """Configuration of one cluster, read by `orchestrator submit --cluster-config FILE`."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = Field(
        default="orchestrator", description="Namespace in which jobs run."
    )
    image: str = Field(
        default="continual-orchestrator:0.2.0",
        description="Image of every pod, with a tag that never moves, or a digest.",
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When nodes pull the image again."
    )
    image_pull_secret: Name | None = Field(
        default=None, description="Secret that nodes use to pull the image; null means none."
    )
    ray_version: str = Field(
        default="2.60.0",
        pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$",
        description="Version of Ray in the image.",
    )
    service_account: Name = Field(
        default="orchestrator-job",
        description="Service account of the Ray pods; it needs no permissions.",
    )
    scheduler_account: Name = Field(
        default="orchestrator-scheduler",
        description=(
            "Service account of the small pods that submit a schedule's jobs; it is allowed to"
            " submit jobs."
        ),
    )
    secrets: SecretsConfig = Field(
        default_factory=SecretsConfig,
        description="Secrets that pods receive as environment variables.",
    )
    environment: dict[VariableName, str] = Field(
        default_factory=dict,
        description=(
            "Further environment variables that are not secret, such as AWS_ENDPOINT_URL;"
            " variables that turn a value into code, such as LD_PRELOAD, are rejected."
        ),
    )
    storage: StorageConfig = Field(
        default_factory=VolumeStorageConfig, description="Location of the stage store."
    )
    tracking: ClusterTrackingConfig = Field(
        default_factory=ClusterTrackingConfig, description="Addresses of MLflow."
    )
    head: HeadConfig = Field(default_factory=HeadConfig, description="Ray's head.")
    workers: WorkersConfig = Field(default_factory=WorkersConfig, description="Ray's workers.")
    gpu: GpuConfig = Field(
        default_factory=GpuConfig, description="Additional settings of workers with GPUs."
    )
    scratch: Quantity = Field(
        default="20Gi",
        description="Disk space that a pod may use for decoded images, logs and outputs.",
    )
    shared_memory: Quantity = Field(
        default="1Gi",
        description="Size of Ray's object store in each pod; it counts towards the pod's memory.",
    )
    sweeps: SweepScaleConfig = Field(
        default_factory=SweepScaleConfig, description="Range of the number of workers of a sweep."
    )
    limits: LimitsConfig = Field(
        default_factory=LimitsConfig, description="Deadlines and retries of a job."
    )
    queue: Annotated[Name, Field(max_length=63)] | None = Field(
        default=None,
        description="LocalQueue of Kueue in which jobs wait for their turn; null means none.",
    )
    schedule: ScheduleConfig = Field(
        default_factory=ScheduleConfig, description="Settings of scheduled retrainings."
    )

    @field_validator("image")
    @classmethod
    def _is_pinned(cls, image: str) -> str:
        tag = _TAG.search(image)
        if "@sha256:" not in image and (tag is None or tag["tag"] == "latest"):
            msg = (
                f"{image!r} may be a different image tomorrow; give a version as its tag, or a"
                " digest (@sha256:…)"
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
                f"queue = {self.queue!r} does not apply to the jobs of schedule.kind ="
                " ray_cron_job; use cron_job, or remove the queue"
            )
            raise ValueError(msg)
        return self
