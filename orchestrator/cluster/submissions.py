"""Convert configuration files to Kubernetes objects, without a cluster and without torch or Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from orchestrator.cluster.names import JobKind
from orchestrator.cluster.ray_jobs import Submission, ray_job
from orchestrator.cluster.rules import check
from orchestrator.cluster.schedules import schedule
from orchestrator.cluster.ticks import Tick
from orchestrator.cluster.workloads import (
    Workload,
    retraining_workload,
    run_workload,
    settings_for,
    sweep_workload,
)
from orchestrator.config import load_experiment, load_retraining, load_search_space
from orchestrator.config.cluster import ClusterConfig
from orchestrator.errors import UserInputError

_FILES: dict[JobKind, tuple[str, ...]] = {
    "run": ("EXPERIMENT.yaml",),
    "sweep": ("SEARCH_SPACE.yaml", "--experiment EXPERIMENT.yaml"),
    "retrain": ("RETRAINING.yaml",),
}


@dataclass(frozen=True)
class Request:
    """Request to run a command on Kubernetes, by a person or by a schedule.

    Attributes:
        kind: The command to run.
        files: Files that the command reads, in the order of its arguments.
        overrides: Settings of the experiment or retraining, as `a.b=value`.
        cron: Times at which to run the command, in cron notation; None runs the command once.
        ray_cluster: Name of a running RayCluster; None starts a cluster for the job.
        tick: The scheduled time for which the job runs; None for a job that a person submits.
        num_trials: Number of a sweep's trials; None means the number in the search-space file.
        name: Name of a run in MLflow; None means the default.
        output: Output folder on the cluster's volume; None means a folder of the job's own.
    """

    kind: JobKind
    files: Sequence[Path]
    overrides: Sequence[str] = ()
    cron: str | None = None
    ray_cluster: str | None = None
    tick: Tick | None = None
    num_trials: int | None = None
    name: str | None = None
    output: str | None = None


def render(request: Request, cluster: ClusterConfig) -> Submission:
    """Return the Kubernetes objects to send for a request.

    Raises:
        UserInputError: Files or options are invalid, or KubeRay would not run the objects.
    """
    _check_options(request)
    workload = _workload(request, cluster)
    if request.cron is not None:
        submission = schedule(workload, cluster, request.cron)
    else:
        submission = ray_job(workload, cluster, request.ray_cluster, request.tick)
    check(submission.manifests)
    return submission


def _check_options(request: Request) -> None:
    needed = _FILES[request.kind]
    if len(request.files) != len(needed):
        advice = f"orchestrator submit {request.kind} {' '.join(needed)}"
        raise UserInputError(
            f"{request.kind} needs {len(needed)} file{'s' if len(needed) > 1 else ''}, not"
            f" {len(request.files)}",
            next_step=advice,
        )
    if request.num_trials is not None and request.kind != "sweep":
        raise UserInputError(
            "--num-trials is for sweeps", next_step=f"submit {request.kind} without --num-trials"
        )
    if request.name is not None and request.kind != "run":
        raise UserInputError(
            "--name is for runs", next_step=f"submit {request.kind} without --name"
        )
    if request.cron is not None and request.kind != "retrain":
        raise UserInputError(
            "--schedule is for retrainings", next_step=f"submit {request.kind} without --schedule"
        )
    if request.cron is not None and request.ray_cluster is not None:
        advice = "omit --cluster: each tick of a schedule starts a Ray cluster of its own"
        raise UserInputError("--schedule and --cluster exclude each other", next_step=advice)


def _workload(request: Request, cluster: ClusterConfig) -> Workload:
    settings = settings_for(cluster)
    match request.kind:
        case "run":
            return run_workload(
                load_experiment(request.files[0], [*request.overrides, *settings]),
                cluster,
                request.name,
                request.output,
            )
        case "sweep":
            search_space = load_search_space(request.files[0], request.num_trials)
            return sweep_workload(
                search_space,
                load_experiment(request.files[1], [*request.overrides, *settings]),
                cluster,
                request.output,
            )
        case "retrain":
            settings = [f"experiment.{setting}" for setting in settings]
            return retraining_workload(
                load_retraining(request.files[0], [*request.overrides, *settings]),
                cluster,
                request.output,
            )
        case _:
            assert_never(request.kind)
