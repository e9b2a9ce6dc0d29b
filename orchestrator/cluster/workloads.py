"""Describe a job independently of Kubernetes: its files, its command and its workers."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from orchestrator.address import Address
from orchestrator.cluster.names import SCRATCH_FOLDER, JobKind, digest_of, job_name, schedule_name
from orchestrator.cluster.sizing import Workers, workers_of_run, workers_of_sweep
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.cluster_storage import VolumeStorageConfig
from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.retraining import Retraining
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.masking import secrets_advice, secrets_in, shown

EXPERIMENT_FILE = "experiment.yaml"
SEARCH_SPACE_FILE = "search_space.yaml"
RETRAINING_FILE = "retraining.yaml"
CLUSTER_FILE = "cluster.yaml"

# Settings that the cluster determines; the user's values apply only to the user's machine.
_OF_THE_CLUSTER: dict[str, Any] = {
    "data": {"cache_dir"},
    "execution": {"address"},
    "store": True,
    "tracking": {"uri", "spool"},
}


@dataclass(frozen=True)
class Workload:
    """The work of a job, described independently of Kubernetes.

    Attributes:
        kind: The command to run.
        name: The user's name for the work.
        files: Content of the files that the command reads, by file name.
        arguments: Arguments of the command, with file names instead of paths.
        workers: The pods that the command needs.
    """

    kind: JobKind
    name: str
    files: Mapping[str, str]
    arguments: tuple[str, ...]
    workers: Workers

    def command(self, folder: str) -> list[str]:
        """Return the command line.

        Args:
            folder: Folder of the files; empty for the working directory.
        """
        files = {name: f"{folder}/{name}" if folder else name for name in self.files}
        return [
            "orchestrator",
            self.kind,
            *(files.get(argument, argument) for argument in self.arguments),
        ]


def settings_for(cluster: ClusterConfig) -> list[str]:
    """Return the settings that every experiment needs on a cluster, as `a.b=value`.

    With these settings, the experiment uses the Ray of the cluster and writes only to places that
    pods can reach.
    """
    return [
        "execution.kind=ray",
        "execution.address=auto",
        f"store.uri={cluster.storage.uri}",
        f"tracking.uri={cluster.tracking.uri}",
        f"tracking.spool={_state_folder(cluster)}/spool",
        f"data.cache_dir={SCRATCH_FOLDER}/data",
    ]


def run_workload(
    experiment: Experiment,
    cluster: ClusterConfig,
    name: str | None = None,
    output: str | None = None,
) -> Workload:
    """Return the workload (command, files and worker pods) of a run.

    Args:
        experiment: The user's experiment, loaded with the overrides of `settings_for(cluster)`.
        cluster: Configuration of the cluster.
        name: Name of the run in MLflow; None means the default.
        output: Output folder on the cluster's volume; None means a folder of the job's own.

    Raises:
        ConfigError: The experiment uses a path that pods cannot reach or contains a secret, or
            `output` is not on the volume.
    """
    _check_paths(experiment, cluster)
    workers = workers_of_run(_ray(experiment))
    files = {EXPERIMENT_FILE: _text(experiment, cluster, _OF_THE_CLUSTER)}
    told = [*_told(cluster, workers), *(("--name", name) if name is not None else ())]
    job = job_name("run", experiment.name, digest_of([files, told, cluster.image]))
    arguments = (EXPERIMENT_FILE, *told, *_output(cluster, job, output))
    return Workload("run", experiment.name, files, arguments, workers)


def sweep_workload(
    search_space: SearchSpace,
    experiment: Experiment,
    cluster: ClusterConfig,
    output: str | None = None,
) -> Workload:
    """Return the workload (command, files and worker pods) of a sweep.

    The sweep runs as many trials at the same time as the worker pods allow.

    Arguments and errors are those of `run_workload`.
    """
    _check_paths(experiment, cluster)
    if search_space.warm_start is not None:
        _check_reachable("warm_start", str(search_space.warm_start), cluster)
    workers = workers_of_sweep(_ray(experiment), cluster.sweeps)
    files = {
        SEARCH_SPACE_FILE: _text(_within(search_space, cluster.sweeps.max_trials), cluster),
        EXPERIMENT_FILE: _text(experiment, cluster, _OF_THE_CLUSTER),
    }
    # set how long a trial's training processes wait for pods that the cluster is still adding
    waiting = (
        ()
        if len(workers.groups) == 1 and workers.groups[0].name == "trials"
        else (_waits(cluster),)
    )
    told = [*_told(cluster, workers, waiting)]
    job = job_name("sweep", search_space.name, digest_of([files, told, cluster.image]))
    # a retried job, or a job that is submitted again, resumes the sweep from the existing ledger
    arguments = (
        SEARCH_SPACE_FILE,
        "--experiment",
        EXPERIMENT_FILE,
        *told,
        *_output(cluster, job, output),
        "--resume-if-begun",
    )
    return Workload("sweep", search_space.name, files, arguments, workers)


def retraining_workload(
    retraining: Retraining, cluster: ClusterConfig, output: str | None = None
) -> Workload:
    """Return the workload (command, files and worker pods) of one scheduled retraining run.

    Arguments and errors are those of `run_workload`.
    """
    _check_reachable("source.path", retraining.source.path, cluster)
    if retraining.source.unlabeled is not None:
        _check_reachable("source.unlabeled.path", retraining.source.unlabeled.path, cluster)
    if retraining.lease.uri is not None:
        _check_reachable("lease.uri", retraining.lease.uri, cluster)
    workers = workers_of_run(_ray(retraining.experiment))
    files = {RETRAINING_FILE: _text(retraining, cluster, {"experiment": _OF_THE_CLUSTER})}
    # all scheduled runs share one output folder, because only one of them runs at a time
    arguments = (
        RETRAINING_FILE,
        *_told(cluster, workers, prefix="experiment."),
        *_output(cluster, schedule_name(retraining.name), output),
    )
    return Workload("retrain", retraining.name, files, arguments, workers)


def _within(search_space: SearchSpace, most: int) -> SearchSpace:
    """Return the search space with a limit on the number of concurrent trials.

    Without a limit, the searcher draws all trials at the start, and cannot learn from their
    results.
    """
    # population-based training needs no limit on concurrent trials, because its trials take turns
    if search_space.trial_scheduler.kind == "pbt":
        return search_space
    return search_space.model_copy(
        update={"max_concurrent_trials": min(search_space.max_concurrent_trials or most, most)}
    )


def _ray(experiment: Experiment) -> RayConfig:
    if not isinstance(experiment.execution, RayConfig):
        msg = "an experiment for a cluster was read without settings_for(cluster)"
        raise TypeError(msg)
    return experiment.execution


def _told(
    cluster: ClusterConfig, workers: Workers, more: tuple[str, ...] = (), prefix: str = ""
) -> Iterator[str]:
    growing = ("execution.autoscaling=true",) if workers.is_elastic else ()
    for setting in (*settings_for(cluster), *growing, *workers.settings, *more):
        yield from ("--set", f"{prefix}{setting}")


def _output(cluster: ClusterConfig, job: str, wanted: str | None) -> tuple[str, str]:
    """Return the option `--output` with the job's output folder, for the command line.

    If the cluster has a volume, the output folder is on the volume. Results, Ray's log and a
    sweep's ledger can then be read after the pods have ended.

    Raises:
        ConfigError: The folder that the user wants is not on the volume.
    """
    if wanted is None:
        return "--output", f"{_state_folder(cluster)}/jobs/{job}"
    volume = cluster.storage.state_folder
    if volume is None or not posixpath.normpath(wanted).startswith(f"{volume.rstrip('/')}/"):
        within = f", or give a folder in {volume}, the volume of the pods" if volume else ""
        raise ConfigError(
            f"{wanted} is a folder of this machine, but the job writes to folders of its pods",
            where="--output",
            next_step=f"omit --output, as the job has a folder of its own{within}",
        )
    return "--output", posixpath.normpath(wanted)


def _state_folder(cluster: ClusterConfig) -> str:
    return cluster.storage.state_folder or SCRATCH_FOLDER


def _waits(cluster: ClusterConfig) -> str:
    return f"execution.start_timeout_seconds={cluster.limits.starting_seconds}"


def _text(config: BaseModel, cluster: ClusterConfig, left_out: dict[str, Any] | None = None) -> str:
    """Return the user's configuration as YAML text, with `--set` applied.

    Defaults are omitted, and so are settings that apply only to the user's machine.

    Raises:
        ConfigError: The configuration contains a secret, which everybody who may see the job would
            see.
    """
    tree = config.model_dump(mode="json", exclude_unset=True, exclude=left_out)
    for path, address in secrets_in(tree).items():
        raise ConfigError(
            f"{path} = {shown(address)} holds a secret, which everybody who may see the job"
            " would see",
            next_step=_secret_advice(address, cluster),
        )
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
    return text


def _secret_advice(address: str, cluster: ClusterConfig) -> str:
    is_bucket = Address(address).scheme in ("s3", "gs", "gcs")
    field, name = (
        ("object_storage", cluster.secrets.object_storage)
        if is_bucket
        else ("tracking", cluster.secrets.tracking)
    )
    secret = f"the Secret {name}" if name else "a Secret"
    return (
        f"remove the secret, and put it into {secret} (secrets.{field} of the cluster"
        f" configuration) as {secrets_advice(address)}"
    )


def _check_paths(experiment: Experiment, cluster: ClusterConfig) -> None:
    for field, place in experiment.data.places.items():
        _check_reachable(f"data.{field}", place, cluster)
    unlabeled = experiment.data.unlabeled
    for field, place in unlabeled.places.items() if unlabeled else ():
        _check_reachable(f"data.unlabeled.{field}", place, cluster)


def _check_reachable(name: str, path: str, cluster: ClusterConfig) -> None:
    storage = cluster.storage
    if "://" in path:
        return
    if not isinstance(storage, VolumeStorageConfig):
        advice = (
            "use an s3:// or gs:// address, or storage.kind=volume in the cluster configuration"
        )
        raise ConfigError(
            f"{path} is a path of this machine, and pods have no volume",
            where=name,
            next_step=advice,
        )
    if not f"{path}/".startswith(f"{storage.mount_path.rstrip('/')}/"):
        advice = (
            f"copy the data onto the volume {storage.claim}, which pods see at {storage.mount_path}"
        )
        raise ConfigError(
            f"{path} is a path of this machine, which pods do not see", where=name, next_step=advice
        )
