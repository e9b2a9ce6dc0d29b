"""A Kubernetes cluster with KubeRay: where and how `orchestrator submit` runs jobs. The defaults
fit what k8s/base installs.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from orchestrator.config.addresses import without_password
from orchestrator.config.base import Config

_SECRET_WORDS = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|_KEY$", re.IGNORECASE)
_TAG = re.compile(r":(?P<tag>[\w][\w.-]{0,127})$")

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


def _without_inline_password(uri: str) -> str:
    if without_password(uri) != uri:
        msg = (
            "holds a password; put it into a Secret that `secrets` names, as an environment"
            " variable"
        )
        raise ValueError(msg)
    return uri


Uri = Annotated[str, Field(min_length=1), AfterValidator(_without_inline_password)]
MountPath = Annotated[str, Field(pattern=r"^/[^:\s]+$")]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
LabelKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]


class TolerationConfig(Config):
    """A taint of nodes that pods put up with."""

    key: LabelKey | None = Field(
        default=None, description="The taint's key; null, with operator Exists, means every taint."
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="Whether the value counts, or only the key."
    )
    value: LabelValue | None = Field(
        default=None, description="The taint's value; null with Exists."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Of the taint; null means every effect."
    )

    @model_validator(mode="after")
    def _kubernetes_takes_it(self) -> TolerationConfig:
        if (self.operator == "Exists") == (self.value is not None) or (
            self.key is None and self.operator == "Equal"
        ):
            msg = "operator Equal needs key and value, Exists has no value"
            raise ValueError(msg)
        return self


class NodesConfig(Config):
    """On which nodes pods may run."""

    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: tuple[TolerationConfig, ...] = Field(
        default=(), description="Taints that pods put up with, such as those of spot nodes."
    )


class HeadConfig(NodesConfig):
    """The pod with Ray's head and the job's own process; lanes and trials run on the workers
    only.
    """

    cpu: Quantity = Field(default="2", description="CPUs, as Kubernetes writes them: 2, or 500m.")
    memory: Quantity = Field(
        default="6Gi",
        description="Memory; Ray's head takes about 2Gi, and the decoded images come on top.",
    )


class WorkersConfig(NodesConfig):
    """Pods of one worker each. Their CPUs and GPUs are what `execution` of the experiment asks
    for.
    """

    memory: Quantity = Field(default="4Gi", description="Memory of a worker.")


class GpuConfig(NodesConfig):
    """What pods with GPUs need beyond other workers."""

    resource: LabelKey = Field(
        default="nvidia.com/gpu", description="What the cluster's device plug-in calls a GPU."
    )
    tolerations: tuple[TolerationConfig, ...] = Field(
        default=(TolerationConfig(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
        description="Taints that pods with GPUs put up with.",
    )


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

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        return [
            name for name in (self.tracking, self.object_storage, self.webhook) if name is not None
        ]


class VolumeStorageConfig(Config):
    """The stage store on a volume that all nodes reach."""

    kind: Literal["volume"] = "volume"
    claim: Name = Field(
        default="orchestrator-store",
        description="The PersistentVolumeClaim; ReadWriteMany unless there is one node.",
    )
    mount_path: MountPath = Field(
        default="/var/lib/orchestrator/store",
        description="Where pods see it: the stage store's folder.",
    )

    @property
    def uri(self) -> str:
        """The stage store's address."""
        return self.mount_path

    @property
    def state_folder(self) -> str:
        """Where a head keeps what must outlive its pod."""
        return self.mount_path


class ObjectStorageConfig(Config):
    """The stage store in a bucket."""

    kind: Literal["object_storage"] = "object_storage"
    uri: Annotated[Uri, Field(pattern=r"^(s3|gs)://")] = Field(
        description="s3:// or gs:// address of the stage store."
    )
    claim: Name | None = Field(
        default=None,
        description=(
            "A PersistentVolumeClaim for what no bucket can hold: numbers that MLflow does not have"
            " yet, ledgers of sweeps, what jobs write; null leaves that in the head's pod, with"
            " which it goes."
        ),
    )
    mount_path: MountPath = Field(
        default="/var/lib/orchestrator/state", description="Where heads see that volume."
    )

    @property
    def state_folder(self) -> str | None:
        """Where a head keeps what must outlive its pod; None where there is no such place."""
        return self.mount_path if self.claim else None


StorageConfig = Annotated[VolumeStorageConfig | ObjectStorageConfig, Field(discriminator="kind")]


class ClusterTrackingConfig(Config):
    """MLflow as pods reach it, and as people do."""

    uri: Uri = Field(
        default="http://mlflow:5000", description="The server, or a database, as seen from pods."
    )
    ui_url: Uri | None = Field(
        default=None, description="Where people open it in a browser; null means at `uri`."
    )


class SweepScaleConfig(Config):
    """How far a sweep's workers grow with the trials that wait, and shrink when none do."""

    min_trials: int = Field(
        default=1, ge=1, description="Trials at once for which there are always workers."
    )
    max_trials: int = Field(default=8, ge=1, description="Most trials at once.")
    idle_seconds: int = Field(
        default=60, ge=0, description="A worker that has nothing to do for so long is given back."
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
        default=86400, ge=1, description="How long one attempt may take, from its start."
    )
    starting_seconds: int = Field(
        default=1800,
        ge=1,
        description="How long an attempt may wait for its pods, images included.",
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        description=(
            "Attempts after the first, each on a new Ray cluster; what is in the stage store is not"
            " repeated."
        ),
    )
    ttl_seconds: int = Field(
        default=60,
        ge=0,
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
        default=600, ge=10, description="A tick that could not start for so long is left out."
    )
    keep_finished: int = Field(
        default=3, ge=0, description="Finished ticks that stay, with their logs."
    )
    keep_finished_seconds: int = Field(
        default=86400,
        ge=0,
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


class ClusterConfig(Config):
    """One cluster, as `orchestrator submit --cluster-config FILE` reads it."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = Field(
        default="orchestrator", description="Where jobs run."
    )
    image: str = Field(
        default="continual-orchestrator:0.1.0",
        description="Of every pod, with a tag that never moves, or a digest.",
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When nodes ask for it again."
    )
    image_pull_secret: Name | None = Field(
        default=None, description="Secret with which nodes may fetch the image; null means none."
    )
    ray_version: str = Field(
        default="2.60.0", pattern=r"^\d+\.\d+\.\d+$", description="Of the Ray in the image."
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
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Further environment variables that are no secrets, such as AWS_ENDPOINT_URL.",
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
            if _SECRET_WORDS.search(name) or without_password(value) != value:
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
