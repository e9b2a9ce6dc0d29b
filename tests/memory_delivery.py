"""A tracking store in memory that can be unreachable, hang, lose answers and refuse files; and its
delivery.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.outbox.delivery import Refused
from orchestrator.tracking.outbox.entries import (
    Begin,
    Datasets,
    End,
    Entry,
    File,
    Model,
    Parameters,
    Points,
    Resume,
    Tags,
    Views,
)

HANGING_SECONDS = 30.0


@dataclass
class MemoryRun:
    """Contents of a run in the store; a point is identified by its name, step and time."""

    tags: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    points: dict[tuple[str, int, int], float] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    status: str = "RUNNING"


class MemoryStore:
    """The runs of a store, by its ids.

    Attributes:
        is_away: Whether the store is unreachable.
        failures: Errors raised by the next requests, one each.
        also_acts: Whether a failing request still reaches the store and only its answer is lost.
        takes_files: Whether the store accepts files.
        answers: Event that requests wait for.
    """

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.is_away = False
        self.failures: list[Exception] = []
        self.also_acts = False
        self.takes_files = True
        self.answers = threading.Event()
        self.answers.set()

    def create_run(self, tags: Mapping[str, str]) -> str:
        run_id = uuid.uuid4().hex
        self.runs[run_id] = MemoryRun(dict(tags))
        return run_id

    def history(self, run_id: str, name: str = "loss") -> list[tuple[int, float]]:
        points = self.runs[run_id].points
        return [(step, value) for (metric, step, _), value in points.items() if metric == name]


class MemoryDelivery:
    """Delivery of the entries of one session to a store in memory."""

    def __init__(self, store: MemoryStore, run_ids: Mapping[str, str]) -> None:
        self._store = store
        self.run_ids = dict(run_ids)
        self._is_connected = False
        self._open: set[str] = set()
        self._ended: set[str] = set()
        self._earlier: dict[str, set[tuple[str, int]]] = {}

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    def answers(self) -> bool:
        return not self._store.is_away

    def send(self, entries: Sequence[Entry]) -> list[Refused]:
        self._connect()
        failure = self._store.failures.pop(0) if self._store.failures else None
        if failure is not None and not self._store.also_acts:
            raise failure
        refused = []
        for entry in entries:
            try:
                self._apply(entry)
            except OrchestratorError as error:
                refused.append(Refused(entry, str(error)))
        if failure is not None:
            raise failure
        return refused

    def beat(self) -> None:
        self._connect()
        for run_id in self._open:
            run = self._store.runs[run_id]
            run.tags[names.HEARTBEAT_TAG] = "now"
            run.status = "RUNNING"

    def _connect(self) -> None:
        self._store.answers.wait(HANGING_SECONDS)
        if self._store.is_away:
            raise TrackingUnavailableError("the store is away")
        self._is_connected = True

    def _apply(self, entry: Entry) -> None:
        if isinstance(entry, Begin):
            self._begin(entry)
        run_id = self.run_ids.get(entry.run, entry.run)
        if run_id not in self._store.runs:
            raise OrchestratorError(f"run {run_id} not found")
        if entry.run not in self._ended:
            self._open.add(run_id)
        self._apply_to(self._store.runs[run_id], run_id, entry)

    def _apply_to(self, run: MemoryRun, run_id: str, entry: Entry) -> None:
        match entry:
            case Begin() | Datasets() | Views():
                pass
            case Resume():
                self._ended.discard(entry.run)
                self._open.add(run_id)
                self._earlier[run_id] = {(name, step) for name, step, _ in run.points}
                run.status = "RUNNING"
                run.tags |= self._with_ids(entry.tags)
            case Parameters():
                run.parameters |= entry.values
            case Points():
                self._add_points(run, run_id, entry)
            case Tags():
                run.tags |= self._with_ids(entry.values)
            case File() | Model():
                self._add_file(run, entry)
            case End():
                self._end(run, run_id, entry)

    def _begin(self, entry: Begin) -> None:
        known = [
            run_id
            for run_id, run in self._store.runs.items()
            if run.tags.get(names.SPOOL_ID_TAG) == entry.run
        ]
        tags = self._with_ids(entry.tags) | {names.SPOOL_ID_TAG: entry.run}
        self.run_ids[entry.run] = known[0] if known else self._store.create_run(tags)

    def _add_points(self, run: MemoryRun, run_id: str, entry: Points) -> None:
        earlier = self._earlier.get(run_id, set())
        for name, value, step in entry.values:
            if (name, step) not in earlier:
                run.points[name, step, entry.time_ms] = value

    def _add_file(self, run: MemoryRun, entry: File | Model) -> None:
        path = entry.path if isinstance(entry, File) else entry.folder
        if not path.exists():
            raise OrchestratorError("the spool's copy of a logged file is missing", str(path))
        if not self._store.takes_files:
            raise ModuleNotFoundError("No module named 'boto3'")
        run.files.append(path.name)

    def _end(self, run: MemoryRun, run_id: str, entry: End) -> None:
        self._open.discard(run_id)
        self._ended.add(entry.run)
        driver = run.tags.get(names.PROCESS_STARTED_TAG, "")
        if not entry.process or driver in ("", entry.process):
            run.status = entry.status.value
            run.tags[names.STATUS_REASON_TAG] = entry.reason

    def _with_ids(self, tags: Mapping[str, str]) -> dict[str, str]:
        of_runs = (names.PARENT_RUN_TAG, names.SWEEP_TAG)
        return {
            key: self.run_ids.get(value, value) if key in of_runs else value
            for key, value in tags.items()
        }
