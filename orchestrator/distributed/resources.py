"""Check before a run starts that the resources for its lanes are available. A lane is the group of
workers for one role. Error messages show how the requested resources add up.

This module imports ray only to query a running cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.distributed.environment import set_environment
from orchestrator.distributed.machine import cpus_of_this_machine, gpus_of_this_machine
from orchestrator.errors import ConfigError


def lanes_of(execution: RayConfig) -> dict[str, LaneConfig]:
    """Return the configuration of both lanes, by role."""
    return {"teacher": execution.teacher, "student": execution.student}


def check_room(execution: RayConfig) -> None:
    """Check that there is room for the lanes, the groups of workers for teacher and student. The
    running cluster, or this machine if there is none, must have enough resources, such as CPUs.

    Raises:
        ConfigError: The lanes request more than is available; the message shows the sum.
        ClusterUnavailableError: The cluster does not answer.
    """
    if execution.address is None:
        _check_possible_on_one_machine(execution)
    available, place = available_resources(execution)
    if execution.address is None or not execution.autoscaling:
        check_fits(execution, available, place)


def available_resources(execution: RayConfig) -> tuple[dict[str, float], str]:
    """Return the amount of each resource, such as `CPU`, that the lanes can use. Also return the
    name of the machine or cluster that has these resources.

    Raises:
        ClusterUnavailableError: The cluster does not answer.
    """
    set_environment(execution)
    if execution.address is not None:
        from orchestrator.distributed.cluster import (  # noqa: PLC0415 - ray is slow to import
            resources_of_cluster,
        )

        return resources_of_cluster(execution), f"the cluster {execution.address}"
    available: dict[str, float] = {"CPU": cpus_of_this_machine()}
    if any(lane.num_gpus_per_worker for lane in lanes_of(execution).values()):
        available["GPU"] = gpus_of_this_machine()
    return available, "this machine"


def _check_possible_on_one_machine(execution: RayConfig) -> None:
    for name, lane in lanes_of(execution).items():
        if lane.node_labels:
            raise ConfigError(
                f"{lane.node_labels!r}: a cluster on this machine has no node labels",
                where=f"execution.{name}.node_labels",
                next_step="give execution.address of a cluster that has these labels, or remove"
                " the labels",
            )
        if lane.placement == "STRICT_SPREAD" and lane.min_train_workers > 1:
            raise ConfigError(
                f"STRICT_SPREAD needs {lane.min_train_workers} workers on as many nodes, but this"
                " machine is one",
                where=f"execution.{name}.placement",
                next_step="use SPREAD, or give execution.address of a cluster",
            )


def num_workers_within(
    role: str, execution: RayConfig, available: Mapping[str, float]
) -> int | tuple[int, int]:
    """Return the number of workers of a lane or, if the number may vary, the smallest and the
    largest number. Unless the cluster grows on demand, the largest number leaves the resources
    that the other lane needs.

    Args:
        role: Role of the lane.
        execution: Configuration of the lanes.
        available: Amount of each resource of the whole cluster, by Ray's name of the resource.
    """
    lane = lanes_of(execution)[role]
    if isinstance(lane.num_train_workers, int) or execution.autoscaling:
        return lane.num_train_workers
    [other] = [config for name, config in lanes_of(execution).items() if name != role]
    room = [
        (available.get(name, 0) - other.min_train_workers * other.resources_per_worker.get(name, 0))
        // amount
        for name, amount in lane.resources_per_worker.items()
    ]
    return lane.min_train_workers, max(
        lane.min_train_workers, min(lane.max_train_workers, int(min(room)))
    )


def check_fits(
    execution: RayConfig,
    available: Mapping[str, float],
    place: str,
    roles: Collection[str] = ("teacher", "student"),
) -> None:
    """Check that the lanes fit at the same time, with their smallest number of workers.

    Args:
        execution: Configuration of the lanes.
        available: Available amount of each resource, by Ray's name of the resource.
        place: Name of the machine or cluster with these resources, for the error message.
        roles: Roles of the lanes to count; a lane that has ended needs no resources.

    Raises:
        ConfigError: The lanes request more than is available; the message shows the sum.
    """
    lanes = {role: lane for role, lane in lanes_of(execution).items() if role in roles}
    names = sorted({name for lane in lanes.values() for name in lane.resources_per_worker})
    for name in names:
        shares = {
            role: lane.min_train_workers * lane.resources_per_worker.get(name, 0)
            for role, lane in lanes.items()
        }
        needed, has = sum(shares.values()), available.get(name, 0)
        if needed > has:
            terms = " + ".join(
                f"{role} lane {lane.min_train_workers} x {lane.resources_per_worker.get(name, 0):g}"
                for role, lane in lanes.items()
            )
            raise ConfigError(
                f"the lanes need {needed:g} {name} at the same time ({terms}), {place} has {has:g}",
                where="execution",
                next_step=(
                    "lower num_train_workers or the resources per worker, use a larger cluster, or"
                    " execution.kind=in_process"
                ),
            )
