"""Build the Ray Train trainer of a lane, which is the group of workers for one role. The trainer
starts these workers with their process group, and restarts the workers after failures.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import BackendConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.callback import RayTrainCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.distributed.lane import LaneTask, run_lane
from orchestrator.distributed.resources import lanes_of, num_workers_within
from orchestrator.masking import secrets_in, shown_values
from orchestrator.stages import Work
from orchestrator.stages.retention import RAY_FOLDER


def build_trainer(
    task: LaneTask, name: str, work: Work, execution: RayConfig, scratch: str
) -> DataParallelTrainer:
    """Return the Ray Train trainer of a lane, the group of workers that learns the stages of one
    role. The method `fit` of the trainer starts the workers.

    Args:
        task: Description of the lane's work.
        name: Name of the Ray Train run, unique to the lane in its cluster and its store.
        work: The stages of the run, with the stage store. Ray's own files are written to this
            store, unless the cluster is started on this machine.
        execution: The cluster and the lanes' configurations.
        scratch: Path of the folder for Ray's own files if the cluster is started on this machine.
    """
    lane = lanes_of(execution)[task.role]
    scaling = ScalingConfig(
        num_workers=num_workers_within(task.role, execution, ray.cluster_resources()),
        use_gpu=lane.num_gpus_per_worker > 0,
        resources_per_worker=lane.resources_per_worker,
        placement_strategy=lane.placement,
        label_selector=lane.node_labels or None,
    )
    failures = FailureConfig(
        max_failures=execution.max_worker_failures,
        controller_failure_limit=execution.max_start_attempts - 1,
        max_preemption_failures=execution.max_preemptions,
    )
    trainer = _TrainerOnOwnCluster if execution.address is None else DataParallelTrainer
    values = task.as_json()
    return trainer(
        partial(run_lane, secrets=secrets_in(values)),
        train_loop_config=shown_values(values),  # masked, because Ray's dashboard shows the values
        backend_config=_process_group(lane),
        scaling_config=scaling,
        run_config=RunConfig(
            name=name, failure_config=failures, **_ray_storage(work, execution, scratch)
        ),
    )


class _TrainerOnOwnCluster(DataParallelTrainer):  # type: ignore[misc] # Ray's own types are not those that run
    """Trainer for a cluster that is started for a single run. It omits two of Ray's callbacks.

    `PlacementGroupCleanerCallback` removes the placement groups of dead controllers, but this
    cluster ends with the run. Without a dashboard, the callback also fails once a second, which
    takes 5 % of a CPU. `DatasetsCallback` waits for data sets of Ray Data, which are not used.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        callbacks = super()._create_default_callbacks()
        return [
            callback
            for callback in callbacks
            if not isinstance(callback, PlacementGroupCleanerCallback | DatasetsCallback)
        ]


def _process_group(lane: LaneConfig) -> BackendConfig | None:
    """Return the process group of a lane's workers; None for a single worker.

    Without a process group, Ray's controller does not load torch, and therefore starts faster.
    """
    if lane.max_train_workers == 1:
        return None
    from ray.train.torch import TorchConfig  # noqa: PLC0415 - slow to import

    return TorchConfig(backend="cpu:gloo,cuda:nccl" if lane.num_gpus_per_worker else "gloo")


def _ray_storage(work: Work, execution: RayConfig, scratch: str) -> dict[str, Any]:
    """Return Ray Train's storage settings, which name a folder that all nodes can access. Ray Train
    requires such a folder, although results and checkpoints are in the stage store.
    """
    if execution.address is None:
        return {"storage_path": scratch}
    return {
        "storage_path": work.store.path(RAY_FOLDER),
        "storage_filesystem": work.store.filesystem,
    }
