"""Configure the pods of a cluster: the nodes on which they may run, and their resources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.kubernetes_values import LabelKey, LabelValue, Quantity


class TolerationConfig(Config):
    """Node taint that pods tolerate."""

    key: LabelKey | None = Field(
        default=None,
        description="Key of the taint; null with operator Exists tolerates every taint.",
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="Equal compares key and value, Exists only the key."
    )
    value: LabelValue | None = Field(
        default=None, description="Value of the taint; null if the operator is Exists."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; null means every effect."
    )

    @model_validator(mode="after")
    def _kubernetes_takes_it(self) -> TolerationConfig:
        if (self.operator == "Exists") == (self.value is not None) or (
            self.key is None and self.operator == "Equal"
        ):
            msg = "operator Equal needs key and value, Exists takes no value"
            raise ValueError(msg)
        return self


class NodesConfig(Config):
    """Nodes on which pods may run."""

    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: tuple[TolerationConfig, ...] = Field(
        default=(), description="Taints that pods tolerate, such as those of spot nodes."
    )


class HeadConfig(NodesConfig):
    """Pod that runs Ray's head node and the driver process of the job. All training runs on worker
    pods.
    """

    cpu: Quantity = Field(
        default="2", description="CPUs of the pod in Kubernetes notation, such as 2 or 500m."
    )
    memory: Quantity = Field(
        default="6Gi",
        description="Memory of the pod: about 2Gi for Ray's head, and room for the decoded images.",
    )


class WorkersConfig(NodesConfig):
    """Worker pods, each of which runs one training worker. The setting `execution` of the
    experiment determines the CPUs and GPUs of a worker pod.
    """

    memory: Quantity = Field(default="4Gi", description="Memory of a worker.")


class GpuConfig(NodesConfig):
    """Additional settings of pods with GPUs."""

    resource: LabelKey = Field(
        default="nvidia.com/gpu",
        description="Resource name that the device plug-in of the cluster gives to GPUs.",
    )
    tolerations: tuple[TolerationConfig, ...] = Field(
        default=(TolerationConfig(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
        description="Taints that pods with GPUs tolerate.",
    )
