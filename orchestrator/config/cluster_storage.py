"""The stage store of a cluster: on a volume, or in a bucket."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.kubernetes_values import MountPath, Name, Uri


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
