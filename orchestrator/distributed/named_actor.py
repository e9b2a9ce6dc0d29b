"""Find a Ray actor by name, or start it, so that all processes of a run or sweep can share it."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def named_actor(kind: type, name: str, max_task_retries: int = 0) -> ActorHandle[Any]:
    """Return the actor with the given name; start the actor if it does not exist. If the actor
    dies, Ray restarts the actor without its state.

    The actor ends when the process that started it ends, or drops the actor's handle.

    Args:
        kind: The actor's class; its methods are asynchronous.
        name: Name of the actor, unique in the cluster.
        max_task_retries: How often to repeat a call if the actor dies before it answers; -1 for no
            limit.
    """
    actor: ActorHandle[Any] = (
        ray.remote(kind)
        .options(
            name=name,
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=1000,  # lets many processes wait for an answer at the same time
            max_restarts=-1,
            max_task_retries=max_task_retries,
            # Place the actor on the driver's node, because it is useless without the driver.
            scheduling_strategy=NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=True
            ),
        )
        .remote()
    )
    return actor
