"""Compute one trial, without Ray Tune: learn a configuration task by task, with every seed."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

import torch

from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.devices import granted_device
from orchestrator.stages import Preparation, Stage, StageRunner, Work
from orchestrator.stages.claims import Claims
from orchestrator.stages.events import (
    StageEvent,
    StageFinished,
    StageListener,
    event_as_json,
)
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialShare


@dataclass(frozen=True)
class TaskReport:
    """Report of a trial, made whenever all seeds have learned one more task.

    Attributes:
        tasks_learned: Number of tasks learned so far, at least 1.
        num_tasks: Number of tasks of the whole sequence.
        objective: Mean over the seeds of the objective (or the first of several objectives) for the
            tasks learned so far.
        events: Events of the tasks learned since the previous report, each as a pair: number of the
            seed, and event as JSON.
        stages_computed: Number of stages that this trial has computed since the previous report.
        stages_cached: Number of stages since the previous report that were cache hits, or that
            another trial computed.
        worker_seconds: Worker time spent on the stages that this trial has computed.
        seconds: Wall-clock time since the previous report.
        values: Means of all objectives, by metric; empty if there is only one objective.
    """

    tasks_learned: int
    num_tasks: int
    objective: float
    events: list[tuple[int, dict[str, Any]]]
    stages_computed: int
    stages_cached: int
    worker_seconds: float
    seconds: float
    values: dict[str, float] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        """Return whether all tasks are learned."""
        return self.tasks_learned == self.num_tasks

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    def followed_by(self, later: Sequence[TaskReport]) -> TaskReport:
        """Merge this report and later reports into one report."""
        reports = [self, *later]
        return replace(
            reports[-1],
            events=[event for report in reports for event in report.events],
            stages_computed=sum(report.stages_computed for report in reports),
            stages_cached=sum(report.stages_cached for report in reports),
            worker_seconds=sum(report.worker_seconds for report in reports),
            seconds=sum(report.seconds for report in reports),
        )


class Trial(Protocol):
    """A configuration that is learned task by task."""

    def learn_next_task(self) -> TaskReport:
        """Learn one more task with every seed."""
        ...


class TrialInProcess:
    """Learn a trial's stages in the calling process, one after another."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        share: TrialShare,
        claims: Claims,
        preparation: Preparation,
    ) -> None:
        """Prepare the trial; `learn_next_task` starts learning.

        Args:
            experiments: Experiments of the configuration, one for each seed.
            objective: The objective to report.
            share: Resources of the trial.
            claims: Locks that let only one trial at a time compute a given stage.
            preparation: Cache of images and scenarios that all trials of this process share.

        Raises:
            UserInputError: The configuration is invalid, or cannot be used with these images.
            StorageUnavailableError: The images cannot be read.
        """
        self._progress = _TrialProgress(_works_of(experiments, preparation), objective)
        self._threads = share.threads
        device = granted_device(share.uses_gpu)
        self._runners = [
            StageRunner(work, device, self._progress.listener_of(seed), claims=claims)
            for seed, work in enumerate(self._progress.works)
        ]

    def learn_next_task(self) -> TaskReport:
        """Learn one more task with every seed.

        Raises:
            UserInputError: Learning is impossible with this configuration.
            StorageUnavailableError: The store cannot be read or written.
        """
        for work, runner in zip(self._progress.works, self._runners, strict=True):
            for stage in _stages_of(work, self._progress.tasks_learned):
                torch.set_num_threads(self._threads[stage.role])
                runner.obtain(stage)
        return self._progress.report()


class TrialInLanes:
    """Learn a trial's stages in two lanes (groups of workers for teacher and student) that only
    this trial uses. The stages are learned with one seed after another; for each seed, the workers
    run until all tasks are learned.

    The first report comes when all tasks are learned with every seed but the last, and the first
    task with the last seed. A trial with several seeds can thus be stopped early only then.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        execution: RayConfig,
        claims: str,
        preparation: Preparation,
    ) -> None:
        """Start to learn the trial's stages in a separate thread.

        Args:
            experiments: Experiments of the configuration, one for each seed.
            objective: The objective to report.
            execution: Configuration of the lanes.
            claims: Name of the actor that lets only one trial compute a stage that several need.
            preparation: Cache of images and scenarios that all trials of this process share.

        Raises:
            UserInputError: The configuration is invalid, or cannot be used with these images.
            StorageUnavailableError: The images cannot be read.
        """
        self._progress = _TrialProgress(_works_of(experiments, preparation), objective)
        self._execution = execution
        self._claims = claims
        self._learned: queue.Queue[BaseException | None] = queue.Queue()
        threading.Thread(target=self._learn, name="lanes of a trial", daemon=True).start()

    def learn_next_task(self) -> TaskReport:
        """Wait until one more task is learned with every seed.

        Raises:
            OrchestratorError: The teacher's or the student's learning has failed.
        """
        error = self._learned.get()
        if error is not None:
            raise error
        return self._progress.report()

    def _learn(self) -> None:
        from orchestrator.distributed.lanes import compute_in_lanes  # noqa: PLC0415 - ray is slow to import, most trials have no lanes

        *earlier, last = enumerate(self._progress.works)
        try:
            for seed, work in earlier:
                listener = self._progress.listener_of(seed)
                compute_in_lanes(work, self._execution, listener, self._claims)
            compute_in_lanes(last[1], self._execution, self._listener_of_last(*last), self._claims)
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it again
            self._learned.put(error)

    def _listener_of_last(self, seed: int, work: Work) -> StageListener:
        """Return a listener for the events of the last seed. When both teacher and student have
        finished a task, the listener also lets `learn_next_task` return.
        """
        note = self._progress.listener_of(seed)
        task_of = {stage.name: stage.task.index for stage in work.stages}
        unfinished = Counter(task_of.values())

        def listen(event: StageEvent) -> None:
            note(event)
            if isinstance(event, StageFinished):
                task = task_of[event.stage]
                unfinished[task] -= 1
                if not unfinished[task]:
                    self._learned.put(None)

        return listen


class _TrialProgress:
    """The progress of all seeds of a trial, and the events since the trial's last report."""

    def __init__(self, works: Sequence[Work], objective: Objective) -> None:
        self.works = works
        self.tasks_learned = 0
        self._objective = objective
        self._rows: list[dict[Role, list[list[float]]]] = [
            {role: [] for role in ROLES} for _ in works
        ]
        self._worker_seconds = [0.0 for _ in works]
        self._task_of = {stage.name: stage.task.index for stage in works[0].stages}
        # A deque, because with lanes another thread appends events while `report` removes events.
        self._arrived: deque[tuple[int, StageEvent]] = deque()
        self._ahead: list[tuple[int, StageEvent]] = []
        self._since = time.perf_counter()

    def listener_of(self, seed: int) -> StageListener:
        """Return a listener for the events of one seed."""
        return lambda event: self._arrived.append((seed, event))

    def report(self) -> TaskReport:
        """Return the report after one more task, with the events of the tasks learned so far."""
        objective, values = self._objectives_after(self.tasks_learned)
        self.tasks_learned += 1
        arrived = [self._arrived.popleft() for _ in range(len(self._arrived))]
        finished = [event for _, event in arrived if isinstance(event, StageFinished)]
        computed = [event for event in finished if not event.cached]
        now = time.perf_counter()
        since, self._since = self._since, now
        return TaskReport(
            tasks_learned=self.tasks_learned,
            num_tasks=len(self.works[0].scenario.tasks),
            objective=objective,
            events=[(seed, event_as_json(event)) for seed, event in self._learned_of(arrived)],
            stages_computed=len(computed),
            stages_cached=len(finished) - len(computed),
            worker_seconds=sum(event.seconds * event.num_train_workers for event in computed),
            seconds=now - since,
            values=values,
        )

    def _objectives_after(self, task: int) -> tuple[float, dict[str, float]]:
        """Return the first objective and, if there are several, all objectives by name. Each value
        is the mean over the seeds.
        """
        objective = self._objective
        of_seeds = []
        for number, (work, rows) in enumerate(zip(self.works, self._rows, strict=True)):
            for stage in _stages_of(work, task):
                rows[stage.role].append(work.evaluation_of(stage).rows[objective.split])
                if objective.reads_worker_seconds:
                    self._worker_seconds[number] += work.worker_seconds_of(stage)
            spent = self._worker_seconds[number]
            of_seeds.append((objective.value(rows, spent), objective.values(rows, spent)))
        return fmean(value for value, _ in of_seeds), {
            name: fmean(values[name] for _, values in of_seeds) for name in objective.names
        }

    def _learned_of(
        self, arrived: Sequence[tuple[int, StageEvent]]
    ) -> list[tuple[int, StageEvent]]:
        """Return the events of tasks that both roles have learned. If one role is ahead, keep its
        events for a later report, so that a report repeated after a restart has the same events.
        """
        events = [*self._ahead, *arrived]
        self._ahead = [
            (seed, event)
            for seed, event in events
            if self._task_of[event.stage] >= self.tasks_learned
        ]
        return [
            (seed, event)
            for seed, event in events
            if self._task_of[event.stage] < self.tasks_learned
        ]


def _works_of(experiments: Sequence[Experiment], preparation: Preparation) -> list[Work]:
    works = [preparation.work_of(experiment) for experiment in experiments]
    preparation.check_backbones(works[0])  # one check suffices: all seeds have equal backbones
    return works


def _stages_of(work: Work, task: int) -> list[Stage]:
    return [stage for stage in work.stages if stage.task.index == task]
