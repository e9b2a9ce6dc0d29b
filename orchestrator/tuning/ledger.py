"""Keep the ledger of a sweep, a file of JSON lines with the state of each trial. A sweep is resumed
from its ledger.

The first line identifies the sweep. Each line is written to disk before the sweep proceeds, so a
killed sweep loses at most the line that it was writing: an incomplete last line is skipped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from orchestrator.errors import ConfigError, LockedError, StorageUnavailableError
from orchestrator.output_files import LEDGER_FILE
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.trial_status import TrialStatus

_FORMAT = 1


@dataclass(frozen=True)
class LedgerTrial:
    """The state of one trial.

    Attributes:
        number: Number of the trial; trials are numbered from 0 in the order of their starts.
        configuration: The point of the search space.
        run_id: Id of the trial's run in MLflow.
        status: Status of the trial; in the ledger of a killed sweep, a trial may still be running.
        value: The objective after all tasks, or the first of several objectives; None unless the
            trial is finished.
        curve: The objective, or the first of several objectives, after each learned task.
        reason: Why the trial was stopped, or why it failed.
        stages_computed: Number of stages that this trial computed itself.
        stages_cached: Number of stages that were cache hits, or that another trial computed.
        seconds: Wall-clock time of the trial.
        worker_seconds: Worker time of the stages that this trial computed.
        is_retryable: Whether the trial failed for a reason that a retry can fix.
        variation_of: Number of the better trial from which population-based training derived this
            trial; None for a drawn trial.
        values: All objectives after all tasks, by metric. Empty if there is only one objective, or
            if the trial is not finished.
        measured_on: Machine on which the latency of the trial's network was measured; empty if no
            latency was measured.
    """

    number: int
    configuration: Configuration
    run_id: str
    status: TrialStatus = TrialStatus.RUNNING
    value: float | None = None
    curve: list[float] = field(default_factory=list)
    reason: str = ""
    stages_computed: int = 0
    stages_cached: int = 0
    seconds: float = 0.0
    worker_seconds: float = 0.0
    is_retryable: bool = False
    variation_of: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    measured_on: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the trial's configuration, by path."""
        return self.configuration.parameters

    @property
    def is_open(self) -> bool:
        """Return whether the trial is open: a resumed sweep continues or retries it."""
        return self.is_retryable or self.status in (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)


@dataclass(frozen=True)
class SweepHeader:
    """Values that identify a sweep and its configuration.

    Attributes:
        sweep_id: Id of the sweep's run in MLflow.
        experiment: The base experiment, as JSON values.
        search_space: The search space with which the sweep was last started or resumed, as JSON
            values.
    """

    sweep_id: str
    experiment: dict[str, Any]
    search_space: dict[str, Any]


class Ledger:
    """Read and extend the ledger of a sweep, a file with the state of each trial. Only one process
    at a time may write to the file.
    """

    def __init__(self, path: Path) -> None:
        """Read the ledger file if it exists.

        Args:
            path: The ledger file, which may be missing.

        Raises:
            ConfigError: The file is not a ledger of this program.
            StorageUnavailableError: The file cannot be read.
        """
        self._path = path
        self.header: SweepHeader | None = None
        self.trials: dict[int, LedgerTrial] = {}
        self.wall_seconds = 0.0  # time of all earlier processes of the sweep, except killed ones
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise StorageUnavailableError(
                f"the sweep's ledger cannot be read ({error})", where=str(path)
            ) from None
        self._whole, _, _ = text.rpartition("\n")
        for number, line in enumerate(self._whole.splitlines(), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                advice = "choose another --output, or remove that line"
                raise ConfigError(
                    f"line {number} is not a ledger entry ({error!r})",
                    where=str(path),
                    next_step=advice,
                ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the ledger against other processes during a `with` block. If a killed process has
        left an incomplete last line, remove the line first.

        Raises:
            LockedError: Another process is writing to the ledger, or has written to the ledger
                after this object has read it.
            StorageUnavailableError: The ledger cannot be written.
        """
        lock = FileLock(f"{self._path}.lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            advice = "wait until that sweep ends, or choose another --output"
            raise LockedError(
                "another sweep is writing here", where=str(self._path.parent), next_step=advice
            ) from None
        except OSError as error:
            raise self._cannot_be_written(error) from None
        try:
            self._cut_off_unfinished_line()
            yield
        finally:
            lock.release()

    def _cut_off_unfinished_line(self) -> None:
        if not self._path.exists():
            return
        try:
            whole, end, _ = self._path.read_text(encoding="utf-8").rpartition("\n")
            if whole != self._whole:
                advice = "rerun the same command to continue from the new state"
                raise LockedError(
                    "another sweep has just written here",
                    where=str(self._path.parent),
                    next_step=advice,
                )
            with self._path.open("r+", encoding="utf-8") as file:
                file.truncate(len(whole.encode()) + len(end))
        except OSError as error:
            raise self._cannot_be_written(error) from None

    def begin(self, header: SweepHeader) -> None:
        """Write the header of the sweep: the id of its run, its base experiment and its search
        space. Call this method when the sweep starts, and again when the sweep is resumed with
        another search space.
        """
        self.header = header
        self._append({"format": _FORMAT, "sweep": asdict(header)})

    def write(self, trial: LedgerTrial) -> None:
        """Write the state of a trial. If the ledger has several lines about a trial, the last line
        is valid.

        Raises:
            StorageUnavailableError: The disk is full or unavailable.
        """
        self.trials[trial.number] = trial
        self._append({"trial": asdict(trial)})

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Add the time spent in the `with` block to the sweep's total, also after an error.

        Raises:
            StorageUnavailableError: The disk is full or unavailable.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = round(time.perf_counter() - started, 3)
            self.wall_seconds += seconds
            self._append({"wall_seconds": seconds})

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_be_written(error) from None

    def _take(self, line: dict[str, Any]) -> None:
        if "sweep" in line:
            self.header = SweepHeader(**line["sweep"])
            return
        if "wall_seconds" in line:
            self.wall_seconds += float(line["wall_seconds"])
            return
        values = line["trial"]
        configuration, status = (
            Configuration(**values["configuration"]),
            TrialStatus(values["status"]),
        )
        trial = replace(LedgerTrial(**values), configuration=configuration, status=status)
        self.trials[trial.number] = trial

    def _cannot_be_written(self, error: OSError) -> StorageUnavailableError:
        advice = "free some space or repair the folder, then rerun the same command with --resume"
        if isinstance(error, FileNotFoundError):
            advice = "the folder is gone: rerun without --resume; stages in the store are reused"
        return StorageUnavailableError(
            f"the sweep's ledger cannot be written ({error})",
            where=str(self._path),
            next_step=advice,
        )


def ledger_of(folder: Path) -> Ledger:
    """Read the ledger of an earlier sweep.

    Raises:
        ConfigError: The folder contains no sweep.
        StorageUnavailableError: The ledger cannot be read.
    """
    ledger = Ledger(folder / LEDGER_FILE)
    if ledger.header is None:
        raise ConfigError(
            "warm_start: the folder contains no sweep",
            where=str(folder),
            next_step="name the output folder of an earlier sweep",
        )
    return ledger
