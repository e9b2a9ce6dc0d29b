"""Run a sweep: compute many configurations of one experiment, and write the best configuration as
an experiment file.

A sweep can be resumed from the ledger in its output folder and from the stage store; nothing else
is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator import output_files
from orchestrator.config import values_to_keep
from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.search_space import SearchSpace
from orchestrator.distributed.environment import set_environment
from orchestrator.errors import InterruptedRunError
from orchestrator.pipelines.run.closing import closed_truthfully, machine_watched
from orchestrator.pipelines.run.execution import check_extensions_everywhere
from orchestrator.pipelines.run.output_folder import held_folder
from orchestrator.pipelines.run.outputs import remove_earlier_summary
from orchestrator.pipelines.sweep.beginning import output_folder, read_ledger
from orchestrator.pipelines.sweep.checks import check_ledger, check_not_all_failed, check_search
from orchestrator.pipelines.sweep.listener import SilentSweepListener, SweepListener
from orchestrator.pipelines.sweep.outputs import log_search_space, sweep_name, write_sweep_outputs
from orchestrator.pipelines.sweep.result import SweepResult, result_of, summary_of
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.studies import study_of
from orchestrator.pipelines.sweep.trials import SweepTrials
from orchestrator.stages import Preparation, Work, check_backbones
from orchestrator.stages.costs_ahead import CostsAhead
from orchestrator.stages.extractors import store_extractors
from orchestrator.tracking import Tracker, names, open_run
from orchestrator.tracking.views.comparisons import sweep_view, trial_views
from orchestrator.tuning.ledger import Ledger, SweepHeader
from orchestrator.tuning.share import TrialRoom, TrialShare, find_room, trial_cluster
from orchestrator.tuning.space import Space
from orchestrator.tuning.study_writer import written_study


def sweep(
    search_space: SearchSpace,
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    resume: bool | None = False,
    listener: SweepListener | None = None,
    room: TrialRoom | None = None,
) -> SweepResult:
    """Compute the trials of a search space.

    Args:
        search_space: The parameters and the objectives.
        experiment: The experiment that every trial modifies.
        output: Folder for ledger, summary.json, best.yaml and figures; None means
            `out/sweeps/NAME`.
        resume: True resumes the sweep in the output folder, and False starts a new sweep. None
            resumes an existing sweep, or starts a new sweep if there is none.
        listener: Receives the events of the sweep; None if no listener is needed.
        room: Resources, and number of trials that can run in parallel, as returned by `find_room`
            for this experiment; if None, `find_room` is called.

    Returns:
        The trials, the best trial, and the summary.

    Raises:
        UserInputError: Search space, experiment or data are invalid, or the folder has another
            sweep.
        TransientError: The output folder, store, cluster or tracking store cannot be reached, or
            another process writes to the output folder.
        InterruptedRunError: The sweep was interrupted; `resume` continues it.
    """
    listener = listener or SilentSweepListener()
    room = room or find_room(experiment.execution)
    experiment = as_trials_compute(experiment, room.share)
    check_extensions_everywhere(experiment, search_space.values_named)
    preparation = Preparation()
    work = preparation.work_of(experiment)
    work.store.check_writable()
    check_backbones(experiment, work.scenario)
    store_extractors(experiment, work.scenario, work.store)
    space = Space(search_space, experiment, CostsAhead(preparation).of)
    output_dir = output_folder(search_space, output)
    setting = SweepSetting(search_space, experiment, space, output_dir, preparation)
    with _naming_resume(resume), held_folder(output_dir, "a sweep"):
        ledger = read_ledger(output_dir, resume)
        check_ledger(ledger, experiment, output_dir)
        check_search(setting, ledger)
        with ledger.writing():
            remove_earlier_summary(output_dir)
            return _computed(setting, work, room, ledger, listener)


@contextmanager
def _naming_resume(resume: bool | None) -> Iterator[None]:
    """Add to the message of an interruption how to resume the sweep."""
    try:
        yield
    except InterruptedRunError as interruption:
        same = "the same command" if resume is None else "the same command with --resume"
        raise InterruptedRunError(
            interruption.what, interruption.where, f"{same} resumes it"
        ) from None


def _computed(
    setting: SweepSetting, work: Work, room: TrialRoom, ledger: Ledger, listener: SweepListener
) -> SweepResult:
    """Compute the remaining trials of the sweep, within its run in MLflow."""
    search_space = setting.search_space
    tracker = _open(setting, ledger)
    view, num_tasks = sweep_view(tracker.run_id, search_space), len(work.scenario.tasks)
    with closed_truthfully(tracker), machine_watched(tracker, setting.experiment.tracking):
        log_search_space(setting, tracker)
        tracker.save_views([*trial_views(num_tasks), view])
        with written_study(study_of(setting, tracker.run_id)) as study:
            trials = SweepTrials(setting, ledger, tracker, listener, study)
            known = list(ledger.trials.values())
            listener.sweep_started(
                search_space, search_space.num_trials, num_tasks, known, tracker.run_id
            )
            if trials.has_work():
                with ledger.timing():
                    _compute_trials(setting, work, room, trials, listener)
        check_not_all_failed(ledger, trials.errors)
        summary = summary_of(search_space, ledger, tracker.run_id)
        write_sweep_outputs(setting, summary, ledger, tracker)
    listener.sweep_finished(summary, setting.output_dir, tracker.view_url(view))
    return result_of(setting, ledger, summary)


def as_trials_compute(experiment: Experiment, share: TrialShare) -> Experiment:
    """Return the experiment with a fixed device and a fixed number of threads, so that every trial
    gets the same results on any machine.
    """
    if isinstance(experiment.execution, RayConfig):
        return experiment
    fixed = {"num_threads": share.threads["teacher"], "device": "cuda" if share.uses_gpu else "cpu"}
    return experiment.model_copy(
        update={"execution": experiment.execution.model_copy(update=fixed)}
    )


def _compute_trials(
    setting: SweepSetting,
    work: Work,
    room: TrialRoom,
    trials: SweepTrials,
    listener: SweepListener,
) -> None:
    cluster = trial_cluster(setting.experiment.execution)
    listener.ray_starts(cluster.address)
    set_environment(cluster)
    from orchestrator.tuning.ray_tune import compute_trials  # noqa: PLC0415 - ray is slow to import, and reads the environment

    log_file = setting.output_dir / output_files.RAY_LOG_FILE
    compute_trials(setting.search_space, work, room, trials, log_file)


def _open(setting: SweepSetting, ledger: Ledger) -> Tracker:
    """Open or resume the sweep's run in MLflow, and write the header of the ledger."""
    experiment, search_space = setting.experiment, setting.search_space
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
