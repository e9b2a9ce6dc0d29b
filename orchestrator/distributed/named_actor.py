"""One actor for all processes of a run or sweep, found by its name."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def named_actor(kind: type, name: str, max_task_retries: int = 0) -> ActorHandle[Any]:
    """The actor of this name, or a new one. When it dies, Ray starts it again, without what it
    knew.

    It ends with the process that has asked for it first, or when that lets go of it.

    Args:
        kind: The actor's class; its methods are asynchronous.
        name: Of nobody else in the cluster.
        max_task_retries: How often a call is repeated whose actor has died before it could answer;
            -1 for ever.
    """
    actor: ActorHandle[Any] = (
        ray.remote(kind)
        .options(
            name=name,
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=1000,  # each process that waits for something is a call
            max_restarts=-1,
            max_task_retries=max_task_retries,
            # the driver's node: what dies with it is of no use any more
            scheduling_strategy=NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=True
            ),
        )
        .remote()
    )
    return actor
