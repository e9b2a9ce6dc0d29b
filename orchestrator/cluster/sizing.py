"""Determine the number and the size of a job's worker pods.

Both follow from the lanes of an experiment or from the trials of a sweep. A lane is the group of
training processes of the teacher or of the student.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.config.cluster_jobs import SweepScaleConfig
from orchestrator.config.execution import LaneConfig, RayConfig

# Ray label that keeps teacher workers and student workers (the two lanes) on separate pods, if both
# roles need different pods.
_LANE_LABEL = "lane"


@dataclass(frozen=True)
class WorkerGroup:
    """A group of identical pods.

    Attributes:
        name: Name of the group within its Ray cluster.
        min_pods: Minimum number of pods.
        max_pods: Maximum number of pods; larger than `min_pods` only if the cluster grows on
            demand.
        cpus: CPUs of each pod.
        gpus: GPUs of each pod; a share of a GPU is rounded up to a whole one.
        resources: Other resources of each pod, by Ray's names.
        labels: Ray's labels of each pod.
    """

    name: str
    min_pods: int
    max_pods: int
    cpus: float
    gpus: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_like(self, other: WorkerGroup) -> bool:
        """Return whether the pods of two groups have the same size and the same labels."""
        return replace(self, name="", min_pods=0, max_pods=0) == replace(
            other, name="", min_pods=0, max_pods=0
        )


@dataclass(frozen=True)
class Workers:
    """All worker pods of a Ray cluster.

    Attributes:
        groups: Groups of pods, one for each size.
        settings: Settings with which the experiment uses these pods, as `a.b=value`.
    """

    groups: tuple[WorkerGroup, ...]
    settings: tuple[str, ...] = ()

    @property
    def is_elastic(self) -> bool:
        """Return whether the Ray cluster adds worker pods on demand."""
        return any(group.max_pods > group.min_pods for group in self.groups)


def workers_of_run(execution: RayConfig) -> Workers:
    """Return the worker pods that a run needs to train teacher and student at the same time."""
    return _in_lanes(_group("teacher", execution.teacher), _group("student", execution.student))


def workers_of_sweep(execution: RayConfig, scale: SweepScaleConfig) -> Workers:
    """Return the pods for as many concurrent trials as `scale` allows.

    A trial takes one pod if its teacher and its student have one training worker each and no node
    labels. Otherwise teacher and student of a trial have separate worker pods, as in a run.
    """
    teacher, student = _group("teacher", execution.teacher), _group("student", execution.student)
    if any(
        lane.max_train_workers > 1 or lane.node_labels
        for lane in (execution.teacher, execution.student)
    ):
        return _in_lanes(*(_for_trials(group, scale) for group in (teacher, student)))
    names = {*teacher.resources, *student.resources}
    trials = WorkerGroup(
        "trials",
        scale.min_trials,
        scale.max_trials,
        max(teacher.cpus, student.cpus),
        max(teacher.gpus, student.gpus),
        {
            name: max(teacher.resources.get(name, 0), student.resources.get(name, 0))
            for name in sorted(names)
        },
    )
    return Workers((trials,))


def _in_lanes(teacher: WorkerGroup, student: WorkerGroup) -> Workers:
    """Return one group if teacher and student need equal pods, otherwise one labelled group for
    each role.

    A lane is the group of training workers of the teacher or of the student. Without the labels, a
    small worker could occupy a large pod. The lane that needs large pods would then wait for ever.
    """
    if teacher.is_like(student):
        return Workers(
            (
                replace(
                    teacher,
                    name="workers",
                    min_pods=teacher.min_pods + student.min_pods,
                    max_pods=_most(teacher, student),
                ),
            )
        )
    labelled = [
        replace(group, labels={**group.labels, _LANE_LABEL: group.name})
        for group in (teacher, student)
    ]
    return Workers(
        tuple(labelled),
        tuple(
            f"execution.{group.name}.node_labels.{_LANE_LABEL}={group.name}" for group in labelled
        ),
    )


def _most(teacher: WorkerGroup, student: WorkerGroup) -> int:
    return teacher.max_pods + student.max_pods


def _for_trials(group: WorkerGroup, scale: SweepScaleConfig) -> WorkerGroup:
    return replace(
        group,
        min_pods=scale.min_trials * group.min_pods,
        max_pods=scale.max_trials * group.max_pods,
    )


def _group(role: str, lane: LaneConfig) -> WorkerGroup:
    # STRICT_PACK needs all training workers of this role on one Ray node, and a pod is one Ray node
    together = lane.max_train_workers if lane.placement == "STRICT_PACK" else 1
    return WorkerGroup(
        role,
        1 if together > 1 else lane.min_train_workers,
        1 if together > 1 else lane.max_train_workers,
        together * lane.num_cpus_per_worker,
        math.ceil(together * lane.num_gpus_per_worker),
        {
            name: together * amount
            for name, amount in sorted(lane.custom_resources_per_worker.items())
        },
        dict(lane.node_labels),
    )
