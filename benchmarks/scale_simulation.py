"""Simulate the cost of a ledger and a study that hold many trials, none of which ever ran."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from measuring import EXPERIMENT, print_figures

from orchestrator.config import SearchSpace, load_experiment
from orchestrator.config.dumping import values_to_keep
from orchestrator.pipelines.sweep.result import summary_of
from orchestrator.pipelines.sweep.sampling import sampler_of
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader
from orchestrator.tuning.space import Space
from orchestrator.tuning.studies import (
    TRIAL_ATTRIBUTE,
    StoredStudy,
    StudyIdentity,
    close_storage,
    open_storage,
)
from orchestrator.tuning.trial_status import TrialStatus

MIB = 2**20
NUM_WRITTEN = 100
"""Trials that are written to the study one by one; the others are copies of them."""
SPACE = {
    "name": "simulated",
    "parameters": {
        "student.temperature": {"kind": "log_uniform", "low": 1, "high": 8},
        "student.embedding_weight": {"kind": "log_uniform", "low": 0.1, "high": 10},
        "student.consolidation": {"kind": "uniform", "low": 0.3, "high": 1},
    },
    "searcher": {"kind": "optuna"},
    "num_trials": 1,
}

Found = TypeVar("Found")


class Timer:
    """Timer that prints each step."""

    def __init__(self) -> None:
        """Start without any steps."""
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    def __call__(self, what: str, step: Callable[[], Found], repeats: int = 1) -> Found:
        """Run a step, record the mean seconds of its repeats, and return its result."""
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            found = step()
        self.seconds[what] = round((time.perf_counter() - started) / repeats, 4)
        self.cpu_seconds[what] = round((time.process_time() - cpu) / repeats, 4)
        print(f"  {what}: {self.seconds[what]} s, {self.cpu_seconds[what]} s of CPU", flush=True)
        return found


def simulated_trials(num_trials: int) -> Iterator[LedgerTrial]:
    """Yield finished trials with random parameters and objectives."""
    chance = random.Random(0)  # noqa: S311 - no secret
    for number in range(num_trials):
        draws = {
            "student.temperature": chance.uniform(1, 8),
            "student.embedding_weight": chance.uniform(0.1, 10),
            "student.consolidation": chance.uniform(0.3, 1),
        }
        value = chance.random()
        yield LedgerTrial(
            number,
            Configuration(dict(draws), dict(draws)),
            f"{number:032x}",
            TrialStatus.FINISHED,
            value,
            [value] * 5,
            stages_computed=10,
            seconds=1.0,
            worker_seconds=1.0,
        )


def simulate(num_trials: int) -> None:
    """Write a ledger and a study of the given size, and time a sweep's operations on them."""
    print(f"simulation of {num_trials} trials: none of them runs", flush=True)
    experiment = load_experiment(EXPERIMENT, [])
    search_space = SearchSpace.model_validate(SPACE)
    space, timer = Space(search_space, experiment), Timer()
    with tempfile.TemporaryDirectory(prefix="sweep-simulation-") as scratch:
        folder = Path(scratch)
        header = SweepHeader(
            "0" * 32, values_to_keep(experiment), search_space.model_dump(mode="json")
        )
        path = folder / "ledger.jsonl"
        # five lines a trial: start, a report after each of three tasks, end
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": 1, "sweep": asdict(header)}) + "\n")
            for trial in simulated_trials(num_trials):
                file.write((json.dumps({"trial": asdict(trial)}) + "\n") * 5)
        ledger = timer("read the ledger", lambda: Ledger(path))
        with ledger.writing():
            last = ledger.trials[num_trials - 1]
            timer("write a line of the ledger", lambda: ledger.write(last), 20)
        sampler = timer("know all trials (--resume)", lambda: sampler_of(space, _all(ledger)))
        proposed = timer("propose a trial", sampler.ask)
        assert proposed is not None  # noqa: S101 - only a grid ends
        timer("weigh the parameters", sampler.importances)
        summary = timer("summary", lambda: summary_of(search_space, ledger, "0" * 32))
        sizes = {"ledger": _mib(path), "summary": round(len(json.dumps(summary)) / MIB, 1)}
        del sampler, summary
        sizes["study"] = _study(folder, space, ledger, timer)
    print(f"  MiB: {sizes}")
    print_figures(
        "sweep_scale_simulation",
        trials=num_trials,
        seconds=timer.seconds,
        cpu_seconds=timer.cpu_seconds,
        mib=sizes,
    )


def _study(folder: Path, space: Space, ledger: Ledger, timer: Timer) -> float:
    """Time a study that holds all trials of a ledger; return its MiB."""
    file = folder / "studies.db"
    identity = StudyIdentity(f"sqlite:///{file}", "0" * 32, space, lambda run: f"runs/{run}")
    trials = list(_all(ledger))
    storage = open_storage(identity.storage)
    study, few = StoredStudy(storage, identity), iter(trials[:NUM_WRITTEN])
    timer("write a trial to a new study", lambda: study.put(next(few)), NUM_WRITTEN)
    close_storage(storage)
    copied(file, len(trials) - 1)
    storage = open_storage(identity.storage)
    study = timer("open the study of all but one", lambda: StoredStudy(storage, identity))
    timer("write the last trial to it", lambda: study.put(trials[-1]))
    close_storage(storage)
    return _mib(file)


def copied(file: Path, num_trials: int) -> None:
    """Fill a study with copies of its first trials; each copy names the ledger trial that it
    represents.
    """
    with closing(sqlite3.connect(file)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name.startswith("trial")
        ]
        for block in range(1, -(-num_trials // NUM_WRITTEN)):
            shift = block * NUM_WRITTEN
            fitting = min(NUM_WRITTEN, num_trials - shift)
            for table in tables:
                _copy(connection, table, shift, fitting)
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = trial_id - 1 WHERE key = ?",
            (TRIAL_ATTRIBUTE,),
        )
        connection.commit()


def _copy(connection: sqlite3.Connection, table: str, shift: int, fitting: int) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    kept = columns if table == "trials" else columns[1:]  # the first column is the table's own key
    shifted = [f"{name} + {shift}" if name in ("trial_id", "number") else name for name in kept]
    connection.execute(
        f"INSERT INTO {table} ({', '.join(kept)}) SELECT {', '.join(shifted)} FROM {table}"  # noqa: S608 - names of Optuna's tables
        f" WHERE trial_id <= {fitting}"
    )


def _all(ledger: Ledger) -> Any:  # noqa: ANN401 - the values of a dict
    return ledger.trials.values()


def _mib(path: Path) -> float:
    return round(path.stat().st_size / MIB, 1)
