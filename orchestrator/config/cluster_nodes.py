"""Pods of a cluster: on which nodes they may run, and what each needs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.kubernetes_values import LabelKey, LabelValue, Quantity


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
