"""Run an experiment, from its configuration to its summary.

All checks come before training: resources of the workers, data, split, output folder, tracking.
Then the stages are computed in this process or with Ray, as configured. After every stage, the new
row of the role's accuracy matrix is logged in MLflow.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, assert_never

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.pipelines.run.closing import closed_truthfully, machine_watched
from orchestrator.pipelines.run.cuts import cuts_summary
from orchestrator.pipelines.run.execution import (
    check_execution,
    check_extensions_everywhere,
    compute,
)
from orchestrator.pipelines.run.listener import RunListener, SilentRunListener
from orchestrator.pipelines.run.log import RunLog
from orchestrator.pipelines.run.models import final_models, log_models
from orchestrator.pipelines.run.output_folder import held_folder, make_writable
from orchestrator.pipelines.run.outputs import remove_earlier_summary, write_outputs
from orchestrator.pipelines.run.record import EpochResult, Result, RunRecord, StageResult
from orchestrator.pipelines.run.suspicious_labels import find_suspicions
from orchestrator.stages import Model, Work, check_backbones, prepare_work
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageEvent,
    StageFinished,
    StageStarted,
)
from orchestrator.stages.extractors import store_extractors
from orchestrator.tracking import Tracker, names, open_run
from orchestrator.tracking.views.comparisons import candidates_view, run_views


@dataclass(frozen=True)
class RunResult:
    """Result of a run.

    Attributes:
        summary: The content of summary.json.
        output_dir: Folder of summary.json, the report and the figures.
        work: The computed work, and the store that contains its stages.
    """

    summary: dict[str, Any]
    output_dir: Path
    work: Work

    @cached_property
    def models(self) -> dict[Role, Model]:
        """Return the last task's teacher and student, read from the stage store on first use.

        Raises:
            StorageUnavailableError: The models are no longer in the store.
        """
        return final_models(self.work)


def run(
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    name: str | None = None,
    listener: RunListener | None = None,
    tracker: Tracker | None = None,
    retraining: str = "",
) -> RunResult:
    """Run an experiment.

    Args:
        experiment: The experiment.
        output: Folder for summary.json and figures; None means `out/NAME-RUN_ID`.
        name: Name of the run in MLflow; None means the experiment's name, method and seed.
        listener: Receives the events of the run; None if no listener is needed.
        tracker: Receives parameters and metrics; if None, a run is opened in the configured MLflow
            store.
        retraining: Name of the retraining for which the run trains a candidate; empty for other
            runs.

    Returns:
        The summary, and the models, which are read on first use.

    Raises:
        UserInputError: Configuration or data cannot be used.
        TransientError: The output folder or the tracking store cannot be reached, or another
            process writes to the output folder.
        InterruptedRunError: The run was interrupted; it is closed as KILLED.
    """
    listener = listener or SilentRunListener()
    check_execution(experiment.execution)
    check_extensions_everywhere(experiment)
    # lock the folder first, so that another run's folder is rejected before anything is computed
    with nullcontext() if output is None else held_folder(Path(output), "a run"):
        return _tracked(experiment, output, name, listener, tracker, retraining)


def _tracked(
    experiment: Experiment,
    output: str | Path | None,
    name: str | None,
    listener: RunListener,
    tracker: Tracker | None,
    retraining: str,
) -> RunResult:
    """Check, compute and log the experiment within an MLflow run; for the arguments, see `run`."""
    work = replace(prepare_work(experiment, listener.images_decoded), judges_labels=True)
    work.store.check_writable()
    check_backbones(experiment, work.scenario)
    store_extractors(experiment, work.scenario, work.store)
    run_name = name or f"{experiment.name} {experiment.method.kind} seed {experiment.seed}"
    tags = {names.RETRAINING_TAG: retraining} if retraining else {}
    tracker = tracker or open_run(
        experiment.tracking, experiment.tracking.experiment or experiment.name, run_name, tags
    )
    with closed_truthfully(tracker), machine_watched(tracker, experiment.tracking):
        output_dir = (
            Path(output)
            if output is not None
            else Path("out") / f"{experiment.name}-{tracker.run_id[:8]}"
        )
        make_writable(output_dir)
        remove_earlier_summary(output_dir)
        log = RunLog(tracker, experiment, work.scenario)
        log.start()
        num_tasks = len(work.scenario.tasks)
        views = [candidates_view(retraining)] if retraining else run_views(num_tasks)
        tracker.save_views(views)
        listener.run_started(experiment, work.scenario, work.stages, tracker.run_id)
        record = RunRecord(tracker.run_id, work, run_name)
        events = _RunEvents(work, record, log, listener)
        compute(work, events, output_dir / output_files.RAY_LOG_FILE, listener.ray_starts)
        suspicions = find_suspicions(work)
        summary = {
            **record.summary(),
            **cuts_summary(experiment, work.scenario.shape),
            "suspicious_labels": suspicions.counts,
        }
        log.finish(summary)
        write_outputs(output_dir, summary, record, log, tracker, suspicions)
        log_models(output_dir, summary, work, tracker)
    listener.run_finished(summary, output_dir, experiment, tracker.view_url(views[0]))
    return RunResult(summary, output_dir, work)


class _RunEvents:
    """Receiver of the events of stages, which are computed in this process or with Ray. It forwards
    the events to the record, to MLflow and to the run's listener.
    """

    def __init__(self, work: Work, record: RunRecord, log: RunLog, listener: RunListener) -> None:
        self._record = record
        self._log = log
        self._listener = listener
        self._stages = {stage.name: stage for stage in work.stages}

    def __call__(self, event: StageEvent) -> None:
        stage = self._stages[event.stage]
        match event:
            case StageStarted():
                self._listener.stage_started(stage)
            case FeaturesComputed():
                self._listener.features_computed(stage, event.num_done, event.num_images)
            case EpochFinished() | StageFinished():
                self._pass_on(self._record.take(event))
            case _:
                assert_never(event)

    def _pass_on(self, result: Result | None) -> None:
        match result:
            case EpochResult():
                self._log.add(result)
                self._listener.epoch_finished(result.stage, result.report)
            case StageResult():
                self._log.add(result)
                self._listener.stage_finished(result, self._record)
            case None:
                return
            case _:
                assert_never(result)
