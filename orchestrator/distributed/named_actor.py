"""One actor for all processes of a run or sweep, found by name."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def named_actor(kind: type, name: str, max_task_retries: int = 0) -> ActorHandle[Any]:
    """Return the actor of this name, or start it. If it dies, Ray restarts it without its state.

    It ends with the process that requested it first, or when that process drops its handle.

    Args:
        kind: The actor's class; its methods are asynchronous.
        name: Unique name in the cluster.
        max_task_retries: How often to repeat a call whose actor died before it could answer; -1 for
            no limit.
    """
    actor: ActorHandle[Any] = (
        ray.remote(kind)
        .options(
            name=name,
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=1000,  # each waiting process occupies one call
            max_restarts=-1,
            max_task_retries=max_task_retries,
            # the driver's node: the actor is useless without the driver
            scheduling_strategy=NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=True
            ),
        )
        .remote()
    )
    return actor
