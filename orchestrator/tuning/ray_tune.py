"""All trials of a sweep on a Ray cluster, by Ray Tune: one reused actor computes one trial after
another.

Tune keeps nothing that a resumed sweep needs: its own folder is thrown away. What counts is in the
sweep's ledger and in the stage store.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import ConcurrencyLimiter, Searcher

from orchestrator.config.execution import RayConfig
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.trial_schedulers import PbtConfig
from orchestrator.distributed.claims import ClusterClaims
from orchestrator.distributed.cluster import cluster, naming_log
from orchestrator.errors import LaneLostError, OrchestratorError, StorageUnavailableError
from orchestrator.stages import Work
from orchestrator.stages.retention import RAY_FOLDER
from orchestrator.tuning.share import TrialShare, trial_cluster
from orchestrator.tuning.trial import TaskReport
from orchestrator.tuning.trial_actor import TASKS_LEARNED, TrialActor
from orchestrator.tuning.trial_schedulers import OBJECTIVE, build_trial_scheduler
from orchestrator.tuning.trial_source import TrialSource, number_in
from orchestrator.tuning.trial_status import TrialStatus

_MAX_RESTARTS = 2
_NO_LIMIT = 10**6


def compute_trials(
    search_space: SearchSpace, work: Work, source: TrialSource, log_file: Path
) -> None:
    """Computes trials until there are no more or the budget is spent.

    Args:
        search_space: Trial scheduler, objective and the most trials at once.
        work: The experiment from which all trials vary: what a trial asks for, the cluster, the
            store, the tasks.
        source: Gives trials, and is told about them.
        log_file: Where Ray's own words go.

    Raises:
        ConfigError: Not a single trial fits into the cluster.
        ClusterUnavailableError: The cluster does not answer.
        LaneLostError: The cluster has ended.
    """
    _set_environment()
    config, share = (
        trial_cluster(work.experiment.execution),
        TrialShare.of(work.experiment.execution),
    )
    token = secrets.token_hex(6)
    with (
        naming_log(log_file),
        cluster(config, log_file),
        _folder_of_tune(work, config, f"sweep-{token}") as folder,
    ):
        limit = search_space.max_concurrent_trials or _NO_LIMIT
        if not config.autoscaling:
            place = f"the cluster {config.address}" if config.address else "this machine"
            num_that_fit = share.num_that_fit(ray.cluster_resources(), place)
            if not isinstance(
                search_space.trial_scheduler, PbtConfig
            ):  # a population learns in turn, all of it
                limit = min(limit, num_that_fit)
        claims = f"orchestrator-claims-{token}"
        keep = ClusterClaims(claims)  # the actor lives as long as this process knows it
        settings = {
            "search_space": search_space.model_dump(mode="json"),
            "claims": claims,
            "share": share,
            "cluster": config,
        }
        listener = _Listener(source)
        num_tasks = len(work.scenario.tasks)
        scheduler = build_trial_scheduler(
            search_space.trial_scheduler, search_space.mode, num_tasks, listener.vary
        )
        tune_config = tune.TuneConfig(
            search_alg=ConcurrencyLimiter(_Suggestions(source), limit),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=not share.in_lanes,  # lanes end with the actor that started them
            trial_dirname_creator=lambda trial: trial.trial_id,
        )
        try:
            tune.Tuner(
                _trainable(settings),
                tune_config=tune_config,
                run_config=_run_config(listener, folder),
            ).fit()
        except RayError as error:
            raise LaneLostError(
                f"the Ray cluster has ended ({error})",
                "sweep",
                "the same command with --resume goes on",
            ) from error
        finally:
            del keep
            listener.end_all()


def _set_environment() -> None:
    """Tune's settings: nothing of its own in the terminal or on disk, and Ctrl-C is ours."""
    os.environ |= {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
        "RAY_AIR_NEW_OUTPUT": "0",  # only the older output can be silent
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }


def _trainable(settings: dict[str, Any]) -> type:
    share: TrialShare = settings["share"]
    # lanes ask for themselves; Tune takes no trial that asks for nothing, and every node has a byte
    bundle = {"memory": 1.0} if share.in_lanes else dict(share.resources)
    trainable: type = tune.with_resources(
        tune.with_parameters(TrialActor, settings=settings), PlacementGroupFactory([bundle])
    )
    return trainable


@contextmanager
def _folder_of_tune(work: Work, config: RayConfig, name: str) -> Iterator[dict[str, Any]]:
    """A folder that all nodes see, for as long as the sweep runs: Tune wants one. On this machine
    any will do.
    """
    if config.address is None:
        with tempfile.TemporaryDirectory(
            prefix="orchestrator-tune-", ignore_cleanup_errors=True
        ) as scratch:
            yield {"name": name, "storage_path": scratch}
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


def _run_config(listener: _Listener, folder: dict[str, Any]) -> tune.RunConfig:
    return tune.RunConfig(
        **folder,
        callbacks=[listener],
        stop=_Stopper(listener.source),
        failure_config=tune.FailureConfig(max_failures=_MAX_RESTARTS),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        verbose=0,
    )


class _OfThisProcess:
    """Tune writes a pickle of all it is given into its folder. Nobody reads it there, and ours is
    not for pickling.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Suggestions(_OfThisProcess, Searcher):  # type: ignore[misc] # Ray is not typed here
    """Hands Tune one trial after another."""

    def __init__(self, source: TrialSource) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self._source = source

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Tune's: a configuration, or that there are no more
        """Tune asks for a trial."""
        planned = None if self._source.is_budget_spent() else self._source.next_trial()
        return planned.as_tune_config() if planned else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The listener tells the source."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""


class _Stopper(_OfThisProcess, tune.Stopper):  # type: ignore[misc] # Ray is not typed here
    """Ends all trials when the budget is spent."""

    def __init__(self, source: TrialSource) -> None:
        self._source = source

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Asked after every result and once in a while."""
        return self._source.is_budget_spent()


class _Listener(_OfThisProcess, tune.Callback):  # type: ignore[misc] # Ray is not typed here
    """Translates what Tune tells into what the sweep wants to know."""

    def __init__(self, source: TrialSource) -> None:
        self.source = source
        self._tasks_learned: dict[int, int] = {}
        self._running: dict[str, int] = {}
        self._ticked = 0.0

    def vary(self, tune_config: dict[str, Any]) -> dict[str, Any]:
        """Population-based training asks for a variation of a better trial."""
        return self.source.vary(number_in(tune_config)).as_tune_config()

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: object) -> None:
        """Tune's loop turns several times a second."""
        if time.monotonic() > self._ticked + 1:
            self._ticked = time.monotonic()
            self.source.tick()

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """An actor has been given the trial; also after it was started again or has gone over to
        another configuration.
        """
        number = number_in(trial.config)
        before = self._running.get(trial.trial_id)
        if before not in (None, number):
            self._end(
                trial,
                TrialStatus.STOPPED,
                f"gone over to trial {number}, a variation of a better one",
            )
        if before != number:
            self.source.trial_started(number)
            self._running[trial.trial_id] = number

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: object,
    ) -> None:
        """The trial has learned a task, or cannot go on."""
        number = self._running[
            trial.trial_id
        ]  # its configuration may be the one already to which it goes over now
        if "report" in result and result[TASKS_LEARNED] > self._tasks_learned.get(number, 0):
            self._tasks_learned[number] = result[TASKS_LEARNED]
            self.source.trial_reported(number, TaskReport(**result["report"]))

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """The trial has learned all tasks, was stopped, or has found that it cannot go on."""
        result = trial.last_result or {}
        if "failure" in result:
            error: OrchestratorError = result["failure"]
            self._end(trial, TrialStatus.FAILED, str(error), error)
        elif result.get("is_last"):
            self._end(trial, TrialStatus.FINISHED, "")
        elif self.source.is_budget_spent():
            self._end(trial, TrialStatus.INTERRUPTED, "the budget is spent")
        else:
            self._end(
                trial,
                TrialStatus.STOPPED,
                f"by the trial scheduler after task {result.get(TASKS_LEARNED, 0)}",
            )

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """The trial's process died, or could not reach something, more often than it may."""
        if (
            trial.trial_id not in self._running
        ):  # died while it started, each time: too little memory even to load everything
            self.on_trial_start(iteration, trials, trial)
        cause = _cause_of(trial.get_pickled_error())
        what = f"its process ended {_MAX_RESTARTS + 1} times ({_first_line(cause)}): out of memory?"
        error = (
            cause
            if isinstance(cause, OrchestratorError)
            else LaneLostError(what, f"trial {number_in(trial.config)}")
        )
        self._end(trial, TrialStatus.FAILED, str(error), error)

    def end_all(self) -> None:
        """What still runs is interrupted: every trial, even if the end of another one raises an
        error.
        """
        with ExitStack() as endings:
            for number in self._running.values():
                endings.callback(
                    self.source.trial_ended, number, TrialStatus.INTERRUPTED, "interrupted"
                )
            self._running.clear()

    def _end(
        self,
        trial: TuneTrial,
        status: TrialStatus,
        reason: str,
        error: OrchestratorError | None = None,
    ) -> None:
        number = self._running.pop(trial.trial_id, None)
        if number is not None:
            self.source.trial_ended(number, status, reason, error)


def _cause_of(error: BaseException | None) -> BaseException | None:
    """What was raised in the trial, out of what Ray has packed around it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
