"""Compute all trials of a sweep on a Ray cluster with Ray Tune. An actor computes one trial after
another, unless the trials have their own lanes (separate groups of workers).

A resumed sweep reads only its ledger and the stage store. So the folder in which Tune saves its own
state is removed when the sweep ends.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.search import ConcurrencyLimiter

from orchestrator.config.execution import RayConfig
from orchestrator.config.search_space import SearchSpace
from orchestrator.distributed.claims import ClusterClaims
from orchestrator.distributed.cluster import cluster, naming_log
from orchestrator.errors import LaneLostError, StorageUnavailableError
from orchestrator.masking import secrets_in
from orchestrator.private_folder import scratch_folder
from orchestrator.stages import Work
from orchestrator.stages.retention import RAY_FOLDER
from orchestrator.tuning.share import TrialRoom, TrialShare, max_trials_at_once, trial_cluster
from orchestrator.tuning.trial_actor import TrialActor
from orchestrator.tuning.trial_schedulers import build_trial_scheduler
from orchestrator.tuning.trial_source import TrialSource
from orchestrator.tuning.tune_callbacks import (
    MAX_RESTARTS,
    BudgetStopper,
    Suggestions,
    TuneListener,
)

_NO_LIMIT = 10**6


def compute_trials(
    search_space: SearchSpace, work: Work, room: TrialRoom, source: TrialSource, log_file: Path
) -> None:
    """Compute trials until the source has no more trials, or until the budget is spent.

    Args:
        search_space: Search space with the trial scheduler, the objective and the largest number of
            concurrent trials.
        work: The base experiment's work, with the cluster, the store and the tasks.
        room: Resources of a trial, and the number of trials that fit into the cluster.
        source: Provides trials and receives their events.
        log_file: Receives Ray's own output.

    Raises:
        ConfigError: The cluster refuses the token, or this process already uses Ray.
        ClusterUnavailableError: The cluster does not answer.
        LaneLostError: The cluster has ended.
    """
    _set_environment()
    config = trial_cluster(work.experiment.execution)
    token = secrets.token_hex(6)
    with (
        naming_log(log_file),
        cluster(config, log_file),
        _folder_of_tune(work, config, f"sweep-{token}") as folder,
    ):
        claims = f"orchestrator-claims-{token}"
        # Keep this object until all trials have ended. The object owns the actor that lets only one
        # trial compute a stage; without the object, the actor would end.
        keep = ClusterClaims(claims)
        settings = {
            "search_space": search_space.model_dump(mode="json"),
            "claims": claims,
            "secrets": secrets_in(work.experiment.model_dump(mode="json")),
            "share": room.share,
            "cluster": config,
        }
        listener = TuneListener(source)
        tuner = tune.Tuner(
            _trainable(settings),
            tune_config=_tune_config(search_space, work, room, listener),
            run_config=_run_config(listener, folder),
        )
        try:
            tuner.fit()
        except RayError as error:
            raise LaneLostError(
                f"the Ray cluster has ended ({error})",
                "sweep",
                "rerun the same command with --resume",
            ) from error
        finally:
            del keep
            listener.end_all()


def _set_environment() -> None:
    """Set environment variables so that Tune writes no output of its own to the terminal or disk,
    and does not handle Ctrl-C.
    """
    os.environ |= {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
        "RAY_AIR_NEW_OUTPUT": "0",  # only Tune's older form of output can be silenced
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }


def _trainable(settings: dict[str, Any]) -> type:
    share: TrialShare = settings["share"]
    # Lanes request their own resources. Because Tune rejects a trial without any request, the trial
    # itself requests one byte of memory, which every node has.
    bundle = {"memory": 1.0} if share.in_lanes else dict(share.resources)
    trainable: type = tune.with_resources(
        tune.with_parameters(TrialActor, settings=settings), PlacementGroupFactory([bundle])
    )
    return trainable


def _tune_config(
    search_space: SearchSpace, work: Work, room: TrialRoom, listener: TuneListener
) -> tune.TuneConfig:
    return tune.TuneConfig(
        search_alg=ConcurrencyLimiter(
            Suggestions(listener.source), max_trials_at_once(search_space, room) or _NO_LIMIT
        ),
        scheduler=build_trial_scheduler(
            search_space.trial_scheduler,
            search_space.mode,
            len(work.scenario.tasks),
            listener.vary,
        ),
        num_samples=-1,
        # Do not reuse an actor whose trial has lanes (its own groups of workers): the lanes of a
        # stopped trial end only with the trial's actor.
        reuse_actors=not room.share.in_lanes,
        trial_dirname_creator=lambda trial: trial.trial_id,
    )


def _run_config(listener: TuneListener, folder: dict[str, Any]) -> tune.RunConfig:
    return tune.RunConfig(
        **folder,
        callbacks=[listener],
        stop=BudgetStopper(listener.source),
        failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        verbose=0,
    )


@contextmanager
def _folder_of_tune(work: Work, config: RayConfig, name: str) -> Iterator[dict[str, Any]]:
    """Yield Tune's settings for a folder that all nodes can access; remove the folder at the end of
    the `with` block. For a cluster on this machine, the folder is temporary.
    """
    if config.address is None:
        with scratch_folder("tune") as scratch:
            yield {"name": name, "storage_path": str(scratch)}
        return
    try:
        yield {
            "name": name,
            "storage_path": work.store.path(RAY_FOLDER),
            "storage_filesystem": work.store.filesystem,
        }
    finally:
        with suppress(StorageUnavailableError):
            work.store.remove_folder(RAY_FOLDER, name)
