"""Fill a PostgreSQL store with runs for `many_runs.py`: a hundred by the tracker, then SQL
copies.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from measuring import EXPERIMENT, IN_PROCESS

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests start real servers

from orchestrator.config import load_experiment
from orchestrator.config.experiment import TrackingConfig
from orchestrator.config.roles import ROLES
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import RunStatus, Tracker, names, open_run
from orchestrator.tracking.in_memory_tracker import InMemoryTracker
from orchestrator.tracking.mlflow.registry import MlflowRegistry
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    EVENTS_TAG,
    PREDECESSOR_TAG,
    REASON_TAG,
    TEACHER_TAG,
    TICK_TAG,
)

BLOCK, NUM_TRIALS, NUM_VERSIONS = 100, 39, 10
EXPERIMENT_NAME, MODEL = "many", "many"
BRIEFLY = ["teacher.training.epochs=4", "teacher.refinement.epochs=2", "student.training.epochs=4"]
# tables that grow with runs: those with a run id, then those that refer to runs otherwise
_BY_RUN = ("params", "tags", "metrics", "latest_metrics")


class PackageKeeper(InMemoryTracker):
    """Tracker that also keeps the packaged models.

    Args:
        folder: Folder for the packages.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Copy the package."""
        super().log_model(folder, name, registered_name)
        shutil.copytree(folder, self.folder / name)


@dataclass(frozen=True)
class RecordedRun:
    """The log of one run.

    Attributes:
        tracker: The tracker that recorded everything.
        files: Folder with the run's files, by artifact path.
    """

    tracker: PackageKeeper
    files: Mapping[str, Path]

    def __str__(self) -> str:
        kept = self.tracker
        return (
            f"{len(kept.parameters)} parameters, {len(kept.metrics)} points of"
            f" {len({point.name for point in kept.metrics})} metrics, {len(kept.tags)} tags,"
            f" {len(self.files)} files"
        )

    def write_to(self, tracker: Tracker, number: int) -> None:
        """Log everything as a run with another seed and other settings, and close the run."""
        settings = {
            "seed": str(number % 5),
            "teacher.training.optimizer.learning_rate": str(0.01 * (1 + number // 5)),
        }
        tracker.save_views(list(self.tracker.views.values()))
        tracker.log_parameters({**self.tracker.parameters, **settings})
        tracker.set_tags({**self.tracker.tags, names.SEED_TAG: settings["seed"]})
        tracker.log_datasets(self.tracker.datasets)
        by_step = defaultdict(list)
        for point in self.tracker.metrics:
            by_step[point.step].append(point)
        for points in by_step.values():
            tracker.log_points(points)
        for path, file in self.files.items():
            tracker.log_file(file, str(Path(path).parent).removeprefix("."))
        tracker.close(RunStatus.FINISHED)


def record_a_run(folder: Path) -> RecordedRun:
    """Run digits briefly, and return the log of that run."""
    tracker = PackageKeeper(folder / "packages")
    settings = [*IN_PROCESS, *BRIEFLY, f"store.uri={folder / 'store'}"]
    run(load_experiment(EXPERIMENT, settings), folder / "out", tracker=tracker)
    files = {}
    for path, content in tracker.files.items():
        files[path] = folder / "files" / path
        files[path].parent.mkdir(parents=True, exist_ok=True)
        files[path].write_bytes(content)
    return RecordedRun(tracker, files)


def write_block(uri: str, folder: Path, recorded: RecordedRun) -> list[str]:
    """Write a hundred runs with the tracker; return the ids of those that are neither sweep nor
    trial.
    """
    tracking = TrackingConfig(uri=uri, spool=folder / "spool")
    run_ids = []
    for number in range(BLOCK - NUM_TRIALS - 1):
        tracker = open_run(tracking, EXPERIMENT_NAME, f"run {number}", {})
        recorded.write_to(tracker, number)
        run_ids.append(tracker.run_id)
    sweep = open_run(tracking, EXPERIMENT_NAME, "sweep", {})
    sweep.set_tags({names.SWEEP_TAG: sweep.run_id})
    for number in range(NUM_TRIALS):
        tags = {names.TRIAL_TAG: str(number)}
        recorded.write_to(sweep.open_child(f"trial {number}", tags), number)
    sweep.close(RunStatus.FINISHED)
    _register(uri, recorded.tracker.folder, run_ids[:NUM_VERSIONS])
    return run_ids


def _register(uri: str, packages: Path, run_ids: list[str]) -> None:
    """Register a teacher and a student for each run, with a retraining's tags."""
    registry = MlflowRegistry(uri, MODEL)
    for number, run_id in enumerate(run_ids):
        versions = {
            role: registry.register(role, packages / role, run_id, f"candidate {number}")
            for role in ROLES
        }
        tags = {
            names.STATE_TAG: "champion",
            REASON_TAG: "every condition of the gate is met",
            DECIDED_BY_TAG: "gate",
            TICK_TAG: f"tick {number}",
            names.DATASET_TAG: "digits",
        }
        for role, version in versions.items():
            registry.set_tags(role, version, tags)
            registry.set_alias(role, "champion", version)
        before = {PREDECESSOR_TAG: str(int(versions["student"]) - 1)} if number else {}
        own = {TEACHER_TAG: versions["teacher"], EVENTS_TAG: "[]", **before}
        registry.set_tags("student", versions["student"], own)


def copy_block(uri: str, size: int) -> None:
    """Copy the hundred runs until the store has the given size."""
    with psycopg.connect(uri, autocommit=True) as connection:
        (has,) = connection.execute("SELECT count(*) FROM runs").fetchone() or (0,)
        if not int(has) % BLOCK and size > int(has):
            first, last = int(has) // BLOCK, size // BLOCK - 1
            for statement in _copies(connection, first, last):
                connection.execute(statement)
        connection.execute("VACUUM ANALYZE")  # as autovacuum does after a while


def _copies(connection: psycopg.Connection[tuple[object, ...]], first: int, last: int) -> list[str]:
    """Return the SQL statements that copy a hundred runs, their child rows, and their versions."""
    numbers = f"generate_series({first}, {last}) n"
    of_block = "WHERE o.run_uuid IN (SELECT run_uuid FROM block)"
    connection.execute(
        "CREATE TABLE IF NOT EXISTS block AS SELECT run_uuid FROM runs"  # noqa: S608 - numbers of this module
        f" ORDER BY start_time LIMIT {BLOCK}"
    )
    other = "CASE WHEN o.{0} IN (SELECT run_uuid FROM block) THEN md5(o.{0} || n) ELSE o.{0} END"
    later = {
        "start_time": f"o.start_time + n * {BLOCK * 60_000}",
        "end_time": f"o.end_time + n * {BLOCK * 60_000}",
    }
    changes = {
        "runs": {"run_uuid": "md5(o.run_uuid || n)", **later},
        **{table: {"run_uuid": "md5(o.run_uuid || n)"} for table in _BY_RUN},
        "model_versions": {
            "version": f"o.version + n * {NUM_VERSIONS}",
            "run_id": other.format("run_id"),
            "creation_time": f"o.creation_time + n * {BLOCK * 60_000}",
        },
        "model_version_tags": {"version": f"o.version + n * {NUM_VERSIONS}"},
    }
    changes["tags"]["value"] = other.format("value")
    statements = []
    for table, changed in changes.items():
        columns = [
            str(row[0])
            for row in connection.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name = %s",
                [table],
            )
        ]
        where = f"WHERE o.version <= {NUM_VERSIONS}" if "version" in changed else of_block
        statements.append(
            f"INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608 - tables of this module
            f" SELECT {', '.join(changed.get(name, f'o.{name}') for name in columns)}"
            f" FROM {table} o, {numbers} {where}"
        )
    return statements


def scanned_rows(uri: str) -> int:
    """Return the number of rows that PostgreSQL has read in full table scans so far."""
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT sum(seq_tup_read) FROM pg_stat_user_tables").fetchone()
    return int(row[0]) if row else 0


def settle(_uri: str) -> None:
    """Wait until PostgreSQL's statistics include the closed connections."""
    time.sleep(1.5)
