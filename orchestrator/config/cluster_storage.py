"""Configure the stage store of a cluster: on a volume or in a bucket."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.kubernetes_values import MountPath, Name, Uri


class VolumeStorageConfig(Config):
    """Stage store on a volume that all nodes can mount."""

    kind: Literal["volume"] = "volume"
    claim: Name = Field(
        default="orchestrator-store",
        description=(
            "PersistentVolumeClaim of the volume; ReadWriteMany unless there is only one node."
        ),
    )
    mount_path: MountPath = Field(
        default="/var/lib/orchestrator/store",
        description="Path at which pods mount the volume: the folder of the stage store.",
    )

    @property
    def uri(self) -> str:
        """Return the address of the stage store."""
        return self.mount_path

    @property
    def state_folder(self) -> str:
        """Return the folder for state that must outlive the pod of Ray's head node."""
        return self.mount_path


class ObjectStorageConfig(Config):
    """Stage store in a bucket."""

    kind: Literal["object_storage"] = "object_storage"
    uri: Annotated[Uri, Field(pattern=r"^(s3|gs)://")] = Field(
        description="Address of the stage store, s3:// or gs://."
    )
    claim: Name | None = Field(
        default=None,
        description=(
            "PersistentVolumeClaim for state that a bucket cannot hold: logged values not yet sent"
            " to MLflow, ledgers of sweeps, files that jobs write; null keeps that state in the"
            " head's pod, and it is lost with the pod."
        ),
    )
    mount_path: MountPath = Field(
        default="/var/lib/orchestrator/state", description="Path at which heads mount that volume."
    )

    @property
    def state_folder(self) -> str | None:
        """Return the folder for state that must outlive the pod of Ray's head node; None if no
        volume is configured for such state.
        """
        return self.mount_path if self.claim else None


StorageConfig = Annotated[VolumeStorageConfig | ObjectStorageConfig, Field(discriminator="kind")]
