"""Configure where stages are computed: in the calling process, or by Ray on one or more machines.

A lane is the Ray Train run of all teacher stages, or of all student stages.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    MOST_GPUS,
    MOST_RESOURCES,
    MOST_RETRIES,
    MOST_SECONDS,
    MOST_THREADS,
    MOST_WORKERS,
)

NumWorkers = Annotated[int, Field(ge=1, le=MOST_WORKERS)]


class InProcessConfig(Config):
    """Run every stage in the calling process; suits notebooks, tests and small machines."""

    kind: Literal["in_process"] = "in_process"
    num_threads: int | None = Field(
        default=None,
        ge=1,
        le=MOST_THREADS,
        description=(
            "CPU threads of torch, at most the number of CPUs; null uses the CPUs that are idle"
            " when a stage begins, because threads that share a CPU are slower than one thread. A"
            " different number may change the last digits of results."
        ),
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto uses a GPU if there is one."
    )


class LaneConfig(Config):
    """Workers of one lane (the Ray Train run of all teacher stages or of all student stages), and
    the resources of each worker.
    """

    num_train_workers: NumWorkers | tuple[NumWorkers, NumWorkers] = Field(
        default=1,
        description=(
            "Number of workers that share each batch; [min, max] lets the lane grow and shrink with"
            " the cluster."
        ),
    )
    num_cpus_per_worker: float = Field(
        default=1.0,
        gt=0,
        le=MOST_RESOURCES,
        description="CPUs per worker; the worker uses the same number of threads, rounded down.",
    )
    num_gpus_per_worker: float = Field(
        default=0.0, ge=0, le=MOST_GPUS, description="GPUs per worker; 0 computes on the CPU."
    )
    custom_resources_per_worker: dict[str, Annotated[float, Field(gt=0, le=MOST_RESOURCES)]] = (
        Field(
            default_factory=dict,
            description=(
                "Custom Ray resources per worker, by the names that the nodes of the cluster use."
            ),
        )
    )
    placement: Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"] = Field(
        default="PACK",
        description=(
            "PACK places workers on few nodes, SPREAD on many; STRICT_PACK and STRICT_SPREAD wait"
            " until that is possible."
        ),
    )
    node_labels: dict[str, str] = Field(
        default_factory=dict, description="Labels that a node must have to run a worker."
    )

    @field_validator("custom_resources_per_worker")
    @classmethod
    def _not_what_has_its_own_field(cls, resources: dict[str, float]) -> dict[str, float]:
        for name in ("CPU", "GPU"):
            if name in resources:
                msg = f"{name} has a field of its own; set num_{name.lower()}s_per_worker"
                raise ValueError(msg)
        return resources

    @model_validator(mode="after")
    def _range_ascends(self) -> LaneConfig:
        if self.min_train_workers > self.max_train_workers:
            msg = (
                f"num_train_workers = [{self.min_train_workers}, {self.max_train_workers}] is not"
                " [min, max]; swap them"
            )
            raise ValueError(msg)
        return self

    @property
    def min_train_workers(self) -> int:
        """Return the smallest number of workers with which the lane (the Ray Train run of the
        teacher or student stages) can run.
        """
        return (
            self.num_train_workers
            if isinstance(self.num_train_workers, int)
            else self.num_train_workers[0]
        )

    @property
    def max_train_workers(self) -> int:
        """Return the largest number of workers with which the lane (the Ray Train run of the
        teacher or student stages) can run.
        """
        return (
            self.num_train_workers
            if isinstance(self.num_train_workers, int)
            else self.num_train_workers[1]
        )

    @property
    def num_threads(self) -> int:
        """Return the number of CPU threads of each worker."""
        return max(1, int(self.num_cpus_per_worker))

    @property
    def resources_per_worker(self) -> dict[str, float]:
        """Return the amounts of resources that one worker requests, by Ray's resource names."""
        gpus = {"GPU": self.num_gpus_per_worker} if self.num_gpus_per_worker else {}
        return {"CPU": self.num_cpus_per_worker, **gpus, **self.custom_resources_per_worker}


class RayConfig(Config):
    """Run the teacher lane and the student lane as two concurrent Ray Train runs."""

    kind: Literal["ray"] = "ray"
    address: str | None = Field(
        default=None,
        pattern=r"^(auto|[^\s:/]+:\d{1,5})$",
        description=(
            "Ray cluster to join: host:port of its head (6379, not the ray:// port), or auto; null"
            " starts one on this machine."
        ),
    )
    autoscaling: bool = Field(
        default=False,
        description=(
            "Whether the cluster adds nodes on demand; if so, lanes wait until there is room for"
            " their workers."
        ),
    )
    teacher: LaneConfig = Field(
        default_factory=LaneConfig, description="Workers of the teacher lane."
    )
    student: LaneConfig = Field(
        default_factory=LaneConfig, description="Workers of the student lane."
    )
    max_worker_failures: int = Field(
        default=3,
        ge=0,
        le=MOST_RETRIES,
        description="Number of times per run that a lane may lose workers and restart them.",
    )
    max_preemptions: int = Field(
        default=20,
        ge=0,
        le=MOST_RETRIES,
        description="Number of times that a lane may lose a node to an announced preemption.",
    )
    start_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds to wait for the workers of a lane before requesting them again.",
    )
    max_start_attempts: int = Field(
        default=2,
        ge=1,
        le=MOST_RETRIES,
        description="Number of times per run to request the workers of a lane before giving up.",
    )


ExecutionConfig = Annotated[InProcessConfig | RayConfig, Field(discriminator="kind")]
