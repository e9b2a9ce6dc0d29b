"""A sweep: many configurations of one experiment, the best of which becomes an experiment file of
its own.

The ledger in the output folder and the stage store are all that a resumed sweep needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import output_files
from orchestrator.config import flatten, flatten_tree, values_to_keep
from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.objective import metric_text
from orchestrator.config.places import is_place
from orchestrator.config.search_space import SearchSpace
from orchestrator.distributed.environment import set_environment
from orchestrator.errors import ConfigError, OrchestratorError, UserInputError
from orchestrator.pipelines.run.closing import closed_truthfully, machine_watched
from orchestrator.pipelines.run.execution import check_extensions_everywhere
from orchestrator.pipelines.run.outputs import remove_earlier_summary
from orchestrator.pipelines.run.run import make_writable
from orchestrator.pipelines.sweep.listener import SilentSweepListener, SweepListener
from orchestrator.pipelines.sweep.outputs import log_search_space, sweep_name, write_sweep_outputs
from orchestrator.pipelines.sweep.setting import SweepSetting, sampler_of
from orchestrator.pipelines.sweep.trials import SweepTrials
from orchestrator.stages import Preparation, Work, check_backbones
from orchestrator.tracking import Tracker, names, open_run
from orchestrator.tracking.views.comparisons import run_views, sweep_view
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader, ledger_of
from orchestrator.tuning.ranking import ranked
from orchestrator.tuning.share import TrialRoom, TrialShare, find_room, trial_cluster
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial_status import TrialStatus

# What decides on the objective's value.
_MUST_AGREE = ("metric", "split", "seeds")


@dataclass(frozen=True)
class SweepResult:
    """What a sweep gives.

    Attributes:
        summary: The content of summary.json.
        output_dir: Where summary.json, best.yaml, the ledger and the figures lie.
    """

    summary: dict[str, Any]
    output_dir: Path


def sweep(
    search_space: SearchSpace,
    experiment: Experiment,
    output: str | Path | None = None,
    resume: bool | None = False,
    listener: SweepListener | None = None,
    room: TrialRoom | None = None,
) -> SweepResult:
    """Compute the trials of a search space.

    Args:
        search_space: What varies, and what is optimised.
        experiment: What is the same for all trials.
        output: Folder for ledger, summary.json, best.yaml and figures; None means
            `out/sweeps/NAME`.
        resume: Whether to resume the sweep whose ledger is in that folder; None resumes one if it
            exists.
        listener: Receives the events of the sweep; None for none.
        room: Result of `find_room` for this experiment, of a caller that has asked already; None
            asks.

    Raises:
        UserInputError: Space, experiment or data cannot be used, or the folder holds another sweep.
        TransientError: The output folder, store, cluster or tracking store cannot be reached, or
            another sweep is writing there.
        InterruptedRunError: The sweep was interrupted; `resume` goes on.
    """
    listener = listener or SilentSweepListener()
    room = room or find_room(experiment.execution)
    experiment = as_trials_compute(experiment, room.share)
    check_extensions_everywhere(experiment, search_space.values_named)
    preparation = Preparation()
    work = preparation.work_of(experiment)
    work.store.check_writable()
    check_backbones(experiment, work.scenario)
    space = Space(search_space, experiment)
    output_dir = Path(output) if output is not None else Path("out") / "sweeps" / search_space.name
    make_writable(output_dir)
    ledger = Ledger(output_dir / output_files.LEDGER_FILE)
    _check_ledger(ledger, experiment, output_dir, resume)
    setting = SweepSetting(search_space, experiment, space, output_dir, preparation)
    _check_search(setting, ledger)
    with ledger.writing():
        started = time.perf_counter()
        remove_earlier_summary(output_dir)
        tracker = _open(search_space, experiment, ledger)
        view = sweep_view(tracker.run_id, search_space)
        with closed_truthfully(tracker), machine_watched(tracker, experiment.tracking):
            log_search_space(setting, tracker)
            tracker.save_views([view, *run_views(len(work.scenario.tasks))])
            trials = SweepTrials(setting, ledger, tracker, listener)
            listener.sweep_started(
                search_space,
                search_space.num_trials,
                len(work.scenario.tasks),
                list(ledger.trials.values()),
            )
            if trials.has_work():
                _compute(setting, work, room, trials)
            _check_not_all_failed(ledger, trials.errors)
            summary = _summary(search_space, ledger, tracker.run_id, time.perf_counter() - started)
            write_sweep_outputs(setting, summary, ledger, tracker)
    listener.sweep_finished(summary, output_dir, tracker.view_url(view))
    return SweepResult(summary, output_dir)


def as_trials_compute(experiment: Experiment, share: TrialShare) -> Experiment:
    """Return the experiment as each trial computes it: threads and device that are left open would
    give other numbers elsewhere.
    """
    if isinstance(experiment.execution, RayConfig):
        return experiment
    fixed = {"num_threads": share.threads["teacher"], "device": "cuda" if share.uses_gpu else "cpu"}
    return experiment.model_copy(
        update={"execution": experiment.execution.model_copy(update=fixed)}
    )


def _compute(setting: SweepSetting, work: Work, room: TrialRoom, trials: SweepTrials) -> None:
    set_environment(trial_cluster(setting.experiment.execution))
    from orchestrator.tuning.ray_tune import compute_trials  # noqa: PLC0415 - ray is slow to import, and reads the environment

    log_file = setting.output_dir / output_files.RAY_LOG_FILE
    compute_trials(setting.search_space, work, room, trials, log_file)


def _check_not_all_failed(ledger: Ledger, errors: Sequence[OrchestratorError]) -> None:
    """Passes on the first trial's error when there is no result at all; all may have failed in an
    earlier start.
    """
    if any(trial.status is TrialStatus.FINISHED for trial in ledger.trials.values()):
        return
    if errors:
        raise type(errors[0])(
            f"all trials failed, the first with: {errors[0].what}",
            errors[0].where,
            errors[0].next_step,
        )
    if ledger.trials and all(
        trial.status is TrialStatus.FAILED for trial in ledger.trials.values()
    ):
        advice = "change the search space, or begin anew in another --output"
        raise UserInputError(
            f"all trials failed, the first with: {ledger.trials[min(ledger.trials)].reason}",
            next_step=advice,
        )


def _open(search_space: SearchSpace, experiment: Experiment, ledger: Ledger) -> Tracker:
    """The sweep's run, new or gone on with; and the ledger's first line."""
    tracking = experiment.tracking
    run_id = ledger.header.sweep_id if ledger.header else None
    tracker = open_run(
        tracking, tracking.experiment or experiment.name, sweep_name(search_space), {}, run_id
    )
    ledger.begin(
        SweepHeader(
            tracker.run_id, values_to_keep(experiment), search_space.model_dump(mode="json")
        )
    )
    tracker.set_tags({names.METHOD_TAG: experiment.method.kind, names.SWEEP_TAG: tracker.run_id})
    return tracker


def _check_search(setting: SweepSetting, ledger: Ledger) -> None:
    """Finds out before a run is opened whether there are configurations, and values that can be
    compared with each other.
    """
    folder, now = setting.search_space.warm_start, setting.search_space.model_dump(mode="json")
    headers = [
        (ledger.header, setting.output_dir),
        (ledger_of(folder).header if folder else None, folder),
    ]
    for header, where in headers:
        differ = [key for key in _MUST_AGREE if header and header.search_space.get(key) != now[key]]
        if differ:
            raise ConfigError(
                f"the sweep there was begun with another search space ({', '.join(differ)} differ):"
                " its values could not be compared",
                where=str(where),
                next_step="give the same values, or another folder",
            )
    if ledger.header is None:
        sampler_of(setting.space).ask()


def _check_ledger(
    ledger: Ledger, experiment: Experiment, output_dir: Path, resume: bool | None
) -> None:
    if ledger.header is None:
        if resume:
            raise ConfigError(
                "there is no sweep to go on with",
                where=str(output_dir),
                next_step="leave --resume out, or check --output",
            )
        return
    if resume is False:
        advice = "add --resume to go on with it, or choose another --output"
        raise ConfigError("there is a sweep already", where=str(output_dir), next_step=advice)
    before, now = flatten_tree(ledger.header.experiment), flatten(experiment)
    differ = [
        name
        for name in sorted({*before, *now})
        if not is_place(name) and before.get(name) != now.get(name)
    ]
    if differ:
        raise ConfigError(
            f"the sweep was begun with another experiment ({', '.join(differ)} differ): its trials"
            " could not be compared",
            where=str(output_dir),
            next_step="give the same experiment and --set values, or choose another --output",
        )


def _summary(
    search_space: SearchSpace, ledger: Ledger, sweep_id: str, wall_seconds: float
) -> dict[str, Any]:
    trials = [ledger.trials[number] for number in sorted(ledger.trials)]
    best = next(iter(ranked(trials, search_space.mode)), None)
    return {
        "sweep_id": sweep_id,
        "name": search_space.name,
        "metric": metric_text(search_space.metric),
        "mode": search_space.mode,
        "split": search_space.split,
        "best": (
            None
            if best is None
            else {
                "trial": best.number,
                "value": best.value,
                "parameters": best.configuration.parameters,
            }
        ),
        "trials": [_row(trial) for trial in trials],
        "wall_seconds": round(wall_seconds, 3),
        "worker_seconds": round(sum(trial.worker_seconds for trial in trials), 3),
    }


def _row(trial: LedgerTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "run_id": trial.run_id,
        "status": trial.status.value,
        "value": trial.value,
        "parameters": trial.configuration.parameters,
        "stages_computed": trial.stages_computed,
        "stages_cached": trial.stages_cached,
        "seconds": trial.seconds,
        "worker_seconds": trial.worker_seconds,
        "curve": trial.curve,
        "reason": trial.reason,
    }
