"""One trial: a configuration, learned task by task, with every seed. No Ray Tune here; `trials` has
that.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Protocol

import torch

from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.stages import Stage, StageRunner, Work, check_backbones, prepare_work
from orchestrator.stages.claims import Claims
from orchestrator.stages.events import StageEvent, StageFinished, StageListener, event_as_json
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialShare


@dataclass(frozen=True)
class TaskReport:
    """What a trial tells when all its seeds have learned one more task.

    Attributes:
        tasks_learned: How many tasks are behind it, from 1.
        num_tasks: Of the whole sequence.
        objective: Mean over the seeds, of the tasks learned so far.
        events: What has happened since the last report: (number of the seed, event as JSON).
        stages_computed: Stages that this trial has computed since the last report.
        stages_cached: Stages that it has found, or been given by another trial.
        worker_seconds: Spent in the computed ones.
        seconds: Wall-clock time since the last report.
    """

    tasks_learned: int
    num_tasks: int
    objective: float
    events: list[tuple[int, dict[str, Any]]]
    stages_computed: int
    stages_cached: int
    worker_seconds: float
    seconds: float

    @property
    def is_last(self) -> bool:
        """Whether there is nothing left to learn."""
        return self.tasks_learned == self.num_tasks

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def followed_by(self, later: Sequence[TaskReport]) -> TaskReport:
        """This report and those that came after it, as one."""
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
    """A configuration that learns."""

    def learn_next_task(self) -> TaskReport:
        """Learns one more task with every seed."""
        ...


class TrialInProcess:
    """Learns in the calling process: both roles, one stage after the other."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        share: TrialShare,
        claims: Claims,
    ) -> None:
        """Learns nothing yet.

        Args:
            experiments: The same configuration with each of its seeds.
            objective: What to report.
            share: What of the machine is the trial's.
            claims: To stages that other trials may be computing.

        Raises:
            UserInputError: The configuration cannot be used, with these images or at all.
            StorageUnavailableError: The images cannot be read.
        """
        self._news = _News(_works_of(experiments), objective)
        self._threads = share.threads
        device = torch.device("cuda" if share.uses_gpu else "cpu")
        self._runners = [
            StageRunner(work, device, self._news.teller(seed), claims=claims)
            for seed, work in enumerate(self._news.works)
        ]

    def learn_next_task(self) -> TaskReport:
        """Learns one more task with every seed.

        Raises:
            UserInputError: The learning does not work with this configuration.
            StorageUnavailableError: The store cannot be read or written.
        """
        for work, runner in zip(self._news.works, self._runners, strict=True):
            for stage in _stages_of(work, self._news.tasks_learned):
                torch.set_num_threads(self._threads[stage.role])
                runner.obtain(stage)
        return self._news.report()


class TrialInLanes:
    """Learns in two lanes of its own, seed after seed; the lanes' workers live for all tasks of a
    seed.

    All seeds but the last are learned before the first report: a trial of several seeds can only be
    stopped early in its last one.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        execution: RayConfig,
        claims: str,
    ) -> None:
        """Starts to learn.

        Args:
            experiments: The same configuration with each of its seeds.
            objective: What to report.
            execution: What each lane asks for.
            claims: Name of the claims to stages that other trials may be computing.

        Raises:
            UserInputError: The configuration cannot be used, with these images or at all.
            StorageUnavailableError: The images cannot be read.
        """
        self._news = _News(_works_of(experiments), objective)
        self._execution = execution
        self._claims = claims
        self._learned: queue.Queue[BaseException | None] = queue.Queue()
        threading.Thread(target=self._learn, name="lanes of a trial", daemon=True).start()

    def learn_next_task(self) -> TaskReport:
        """Waits until one more task is learned with every seed.

        Raises:
            OrchestratorError: Whatever has ended a lane.
        """
        error = self._learned.get()
        if error is not None:
            raise error
        return self._news.report()

    def _learn(self) -> None:
        from orchestrator.distributed.lanes import compute_in_lanes  # noqa: PLC0415 - ray is slow to import, most trials have no lanes

        try:
            for seed, work in enumerate(self._news.works):
                compute_in_lanes(work, self._execution, self._tell(seed), self._claims)
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits
            self._learned.put(error)

    def _tell(self, seed: int) -> StageListener:
        record, is_last_seed = self._news.teller(seed), seed == len(self._news.works) - 1

        def tell(event: StageEvent) -> None:
            record(event)
            if (
                is_last_seed
                and isinstance(event, StageFinished)
                and event.stage.startswith("student[")
            ):
                self._learned.put(None)

        return tell


class _News:
    """What has happened in a trial since it last told."""

    def __init__(self, works: Sequence[Work], objective: Objective) -> None:
        self.works = works
        self.tasks_learned = 0
        self._objective = objective
        self._rows: list[dict[Role, list[list[float]]]] = [
            {role: [] for role in ROLES} for _ in works
        ]
        self._events: list[tuple[int, StageEvent]] = []
        self._since = time.perf_counter()

    def teller(self, seed: int) -> StageListener:
        """Notes the events of one seed."""
        return lambda event: self._events.append((seed, event))

    def report(self) -> TaskReport:
        """Tells it, and begins anew; one more task is learned."""
        objectives = []
        for work, rows in zip(self.works, self._rows, strict=True):
            for stage in _stages_of(work, self.tasks_learned):
                rows[stage.role].append(work.evaluation_of(stage).rows[self._objective.split])
            objectives.append(self._objective.value(rows))
        self.tasks_learned += 1
        told, self._events = self._events, []
        finished = [event for _, event in told if isinstance(event, StageFinished)]
        computed = [event for event in finished if not event.cached]
        now = time.perf_counter()
        since, self._since = self._since, now
        return TaskReport(
            tasks_learned=self.tasks_learned,
            num_tasks=len(self.works[0].scenario.tasks),
            objective=fmean(objectives),
            events=[(seed, event_as_json(event)) for seed, event in told],
            stages_computed=len(computed),
            stages_cached=len(finished) - len(computed),
            worker_seconds=sum(event.seconds * event.num_train_workers for event in computed),
            seconds=now - since,
        )


def _works_of(experiments: Sequence[Experiment]) -> list[Work]:
    works = [prepare_work(experiment) for experiment in experiments]
    check_backbones(
        experiments[0], works[0].scenario
    )  # the sweep has checked the base experiment's; seeds do not matter
    return works


def _stages_of(work: Work, task: int) -> list[Stage]:
    return [stage for stage in work.stages if stage.task.index == task]
