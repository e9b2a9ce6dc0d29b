"""Draw, track and record the trials of a sweep, in the process that started the sweep."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from orchestrator.config.objective import LATENCY
from orchestrator.errors import OrchestratorError, StorageUnavailableError, UserInputError
from orchestrator.models.network_costs import machine_name
from orchestrator.output_files import seed_summary_file
from orchestrator.pipelines.run.closing import close_after_failure, closed_truthfully
from orchestrator.pipelines.run.outputs import write_json
from orchestrator.pipelines.sweep.listener import SweepListener
from orchestrator.pipelines.sweep.sampling import sampler_of, told_value
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.trial_log import TrialLog
from orchestrator.tracking import RunStatus, Tracker, names
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial
from orchestrator.tuning.study_writer import NoStudy, StudyNotes
from orchestrator.tuning.trial import TaskReport
from orchestrator.tuning.trial_source import TrialPlan
from orchestrator.tuning.trial_status import TrialStatus

_RUN_STATUS = {
    TrialStatus.FINISHED: RunStatus.FINISHED,
    TrialStatus.STOPPED: RunStatus.KILLED,
    TrialStatus.INTERRUPTED: RunStatus.KILLED,
    TrialStatus.FAILED: RunStatus.FAILED,
}


@dataclass
class _Open:
    """Trial that is being computed."""

    tracker: Tracker
    log: TrialLog | None
    num_stages_reported: int = 0
    values: dict[str, float] = field(default_factory=dict)


class SweepTrials:
    """Source of trials for the code that computes trials (implements `TrialSource`). It also
    receives the events of the trials, and records them in ledger and MLflow.

    Attributes:
        errors: Errors of the trials that failed in this start.
    """

    def __init__(
        self,
        setting: SweepSetting,
        ledger: Ledger,
        tracker: Tracker,
        listener: SweepListener,
        study: StudyNotes | None = None,
    ) -> None:
        """Load the trials of earlier starts, without drawing new ones yet.

        Args:
            setting: The settings of the sweep.
            ledger: The ledger with the trials of earlier starts, open for writing.
            tracker: Tracker of the sweep's run.
            listener: Receives the events of the sweep.
            study: Optuna study in which each change of a trial is recorded, and the trials of
                earlier starts too; None if there is none.
        """
        self._setting = setting
        self._search_space = search_space = setting.search_space
        self._ledger = ledger
        self._tracker = tracker
        self._listener = listener
        self._sampler = sampler_of(setting.space, ledger.trials.values())
        self._to_resume = [trial for trial in ledger.trials.values() if trial.is_open]
        for trial in self._to_resume:
            # An earlier start of the sweep was killed while it ran the trial. Mark the trial as
            # interrupted now, because this start may end before it resumes the trial.
            if trial.status is TrialStatus.RUNNING:
                ledger.write(
                    replace(
                        trial,
                        status=TrialStatus.INTERRUPTED,
                        reason="the trial's process was killed",
                    )
                )
        self._study = study or NoStudy()
        for trial in ledger.trials.values():
            self._study.note(trial)
        self._next: TrialPlan | None = None
        self._configurations: dict[int, Configuration] = {}
        self._parents: dict[int, int] = {}
        self._lowest_free = 0
        self._num_drawn = sum(trial.variation_of is None for trial in ledger.trials.values())
        self._open: dict[int, _Open] = {}
        self._started = time.monotonic()
        self._chance = random.Random(getattr(search_space.searcher, "seed", 0) + len(ledger.trials))  # noqa: S311 - no secret
        self.errors: list[OrchestratorError] = []

    # --- methods for the code that computes trials ------------------------------------------------

    def next_trial(self) -> TrialPlan | None:
        """Return an unfinished trial of an earlier start. If there is none, return a new trial, or
        None if no trial is left.
        """
        if self._next is not None:
            plan, self._next = self._next, None
            return plan
        if self._to_resume:
            trial = self._to_resume.pop(0)
            return self._plan(trial.number, trial.configuration)
        limit = self._search_space.num_trials
        if limit is not None and self._num_drawn >= limit:
            return None
        number = self._next_number()
        configuration = self._sampler.ask(number)
        if configuration is None:
            return None
        self._num_drawn += 1  # counts trials of earlier starts, too, but none from `vary`
        return self._plan(number, configuration)

    def has_work(self) -> bool:
        """Return whether there is a trial to compute. There is none if a resumed sweep is complete
        or has used up its budget.

        Raises:
            ConfigError: No configuration can be found.
        """
        if self.is_budget_spent():
            return False
        self._next = self.next_trial()
        return self._next is not None

    def vary(self, number: int) -> TrialPlan:
        """Return a new trial whose parameters vary those of an earlier trial.

        Args:
            number: Number of the earlier trial.
        """
        varied = self._next_number()
        self._parents[varied] = number
        return self._plan(
            varied, self._sampler.perturbed(self._configurations[number], self._chance)
        )

    def is_budget_spent(self) -> bool:
        """Return whether the budget is used up: the wall time of this start, or the worker-seconds
        of all starts.
        """
        budget = self._search_space.budget
        if (
            budget.wall_seconds is not None
            and time.monotonic() - self._started > budget.wall_seconds
        ):
            return True
        return budget.worker_seconds is not None and self.worker_seconds >= budget.worker_seconds

    def tick(self) -> None:
        """Forward a clock tick to the listener."""
        self._listener.tick()

    @property
    def worker_seconds(self) -> float:
        """Return the worker-seconds of all trials since the first start of the sweep."""
        return sum(trial.worker_seconds for trial in self._ledger.trials.values())

    # --- the events of trials ---------------------------------------------------------------------

    def trial_started(self, number: int) -> None:
        """Open or resume the trial's run in MLflow, and record the start of the trial."""
        configuration, known = self._configurations[number], self._ledger.trials.get(number)
        tags = {names.TRIAL_TAG: str(number)}
        tracker = self._tracker.open_child(
            f"{self._search_space.name} trial {number}", tags, known.run_id if known else None
        )
        trial = known or LedgerTrial(
            number, configuration, tracker.run_id, variation_of=self._parents.get(number)
        )
        costs_read = (*self._search_space.metrics_read, *self._search_space.bounds)
        is_timed = any(name.endswith(LATENCY) for name in costs_read)
        # Write the trial to the ledger before it is computed: if this process is killed, a resumed
        # sweep can only continue runs that are in the ledger. The curve (the objective after each
        # task) starts empty, because a resumed trial reports its stored stages again.
        self._note(
            replace(
                trial,
                status=TrialStatus.RUNNING,
                reason="",
                is_retryable=False,
                curve=[],
                stages_cached=0,
                measured_on=machine_name() if is_timed else "",
            )
        )
        self._open[number] = _Open(tracker, self._log_of(trial, tracker, known is not None))

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """Log one more learned task of a trial, and write the trial to the ledger."""
        opened, trial = self._open[number], self._ledger.trials[number]
        if opened.log is not None:
            opened.log.report(report)
        opened.values = report.values
        opened.num_stages_reported += report.stages_computed + report.stages_cached
        stages_computed = trial.stages_computed + report.stages_computed
        self._note(
            replace(
                trial,
                curve=[*trial.curve, report.objective],
                stages_computed=stages_computed,
                # a stage that the trial itself computed before an interruption is not a cache hit
                stages_cached=max(0, opened.num_stages_reported - stages_computed),
                seconds=round(trial.seconds + report.seconds, 3),
                worker_seconds=round(trial.worker_seconds + report.worker_seconds, 3),
            )
        )

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """Close the trial's run, and record in the ledger how the trial ended."""
        opened, trial = self._open.pop(number), self._ledger.trials[number]
        if error is not None:
            self.errors.append(error)
        if status is TrialStatus.FINISHED:
            trial = replace(trial, value=trial.curve[-1], values=opened.values)
        if status is TrialStatus.FINISHED:
            self._finish(opened, trial)
        else:
            close_after_failure(opened.tracker, _RUN_STATUS[status], reason)
        if status is not TrialStatus.INTERRUPTED:
            self._sampler.tell(trial.configuration, told_value(self._setting.space, trial))
        is_retryable = error is not None and error.is_retryable
        self._note(replace(trial, status=status, reason=reason, is_retryable=is_retryable))

    # --- internals --------------------------------------------------------------------------------

    def _log_of(self, trial: LedgerTrial, tracker: Tracker, is_resumed: bool) -> TrialLog | None:
        """Return the trial's log; None if data and configuration do not match. In that case, the
        worker of the trial finds the same mismatch, and the trial fails.
        """
        try:
            works = self._setting.works_of(trial.parameters)
            return TrialLog(tracker, works, is_resumed)
        except UserInputError:
            return None

    def _finish(self, opened: _Open, trial: LedgerTrial) -> None:
        with closed_truthfully(opened.tracker):
            for path in self._write_summaries(opened, trial):
                opened.tracker.log_file(path)
            values = {
                names.TRIAL_STAGES_COMPUTED: trial.stages_computed,
                names.TRIAL_STAGES_CACHED: trial.stages_cached,
                names.TRIAL_SECONDS: trial.seconds,
            }
            opened.tracker.log_metrics(values, step=names.FINAL_STEP)

    def _write_summaries(self, opened: _Open, trial: LedgerTrial) -> list[Path]:
        """Write the trial's summary for each seed, and return the paths."""
        folder = self._setting.output_dir / "trials" / f"{trial.number:04}"
        summaries = opened.log.finish() if opened.log is not None else []
        paths = [folder / seed_summary_file(summary["seed"]) for summary in summaries]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, summary in zip(paths, summaries, strict=True):
                write_json(path, summary)
        except OSError as error:
            what = f"a trial's summary cannot be written ({error.strerror or error})"
            advice = "free some space, then resume with --resume"
            raise StorageUnavailableError(what, where=str(folder), next_step=advice) from None
        return paths

    def _note(self, trial: LedgerTrial) -> None:
        self._ledger.write(trial)
        self._study.note(trial)
        self._listener.trial_changed(trial)

    def _plan(self, number: int, configuration: Configuration) -> TrialPlan:
        self._configurations[number] = configuration
        space, parameters = self._setting.space, configuration.parameters
        return TrialPlan(number, space.experiments_of(parameters), space.known_of(parameters))

    def _next_number(self) -> int:
        """Return the lowest number that no trial has. After a killed start of the sweep, there may
        be trials with higher numbers.
        """
        self._lowest_free = next(
            number
            for number in count(self._lowest_free)
            if number not in self._configurations and number not in self._ledger.trials
        )
        return self._lowest_free
