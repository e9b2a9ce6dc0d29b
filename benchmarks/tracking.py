"""Measure the cost of tracking, and check that no metrics are lost when the server dies.

    .venv/bin/python benchmarks/tracking.py            about 25 minutes on 2 cores
    .venv/bin/python benchmarks/tracking.py --quick    some 5 minutes

One experiment runs in process with one thread: untracked, tracked in a SQLite file, on an MLflow
server, and on a server that is killed in the middle of the run and restarted 60 seconds later.
Every turn is a new process. Each of the first three has two turns, in the order A B C C B A, so
that changes in the machine's speed affect all of them. Wall time is that of the whole run, from
opening the tracker to closing it with everything delivered. It includes packaging the models and
excludes importing MLflow, which is printed separately. Worker-seconds show what the outage costs
the training.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from measuring import EXPERIMENT, IN_PROCESS, print_figures

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests start real servers

from orchestrator.config import load_experiment
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import NullTracker
from orchestrator.tracking.tracker import MetricPoint
from tests.integration.servers import MlflowServer, mlflow_server

WORKLOADS = {
    "full": (
        60.0,
        [
            "teacher.training.epochs=60",
            "teacher.refinement.epochs=30",
            "student.training.epochs=40",
        ],
    ),
    "quick": (
        10.0,
        ["teacher.training.epochs=15", "teacher.refinement.epochs=8", "student.training.epochs=10"],
    ),
}
SETTINGS = [*IN_PROCESS, "execution.num_threads=1"]


@dataclass(frozen=True)
class Turn:
    """The measurements of one run.

    Attributes:
        wall_seconds: Seconds of the whole run.
        import_seconds: Seconds to import everything it needs, including MLflow.
        worker_seconds: Seconds in stages.
        run_id: MLflow's run id.
        points: Name and step of every metric point, if the run was not tracked.
    """

    wall_seconds: float
    import_seconds: float
    worker_seconds: float
    run_id: str
    points: list[tuple[str, int]]


class NotingTracker(NullTracker):
    """Tracker that only records which points were logged."""

    def __init__(self) -> None:
        """Start without points."""
        super().__init__()
        self.noted: list[tuple[str, int]] = []

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Record names and steps."""
        self.noted += [(point.name, point.step) for point in points]


def main() -> None:
    """Measure all turns, and print wall time ÷ that without tracking."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smaller workload and a shorter outage"
    )
    outage_seconds, workload = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    turns: dict[str, list[Turn]] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow_server(f"sqlite:///{scratch}/server.db", Path(scratch)) as server,
    ):
        uris = {"nothing": "", "SQLite": f"sqlite:///{scratch}/mlflow.db", "server": server.uri}
        for number, name in enumerate([*uris, *reversed(uris)]):
            turns.setdefault(name, []).append(
                _measured(name, Path(scratch) / str(number), uris[name], workload)
            )
        quarter = turns["server"][0].wall_seconds / 4
        killer = threading.Thread(target=_outage, args=(server, quarter, outage_seconds))
        killer.start()
        turns["server that dies"] = [
            _measured("server that dies", Path(scratch) / "outage", server.uri, workload)
        ]
        killer.join()
        expected = turns.pop("nothing")
        lost = {
            name: sum(_num_wrong(uris.get(name, server.uri), turn, expected[0]) for turn in own)
            for name, own in turns.items()
        }
        turns["nothing"] = expected
    wall = {name: sum(turn.wall_seconds for turn in own) / len(own) for name, own in turns.items()}
    learning = {
        name: sum(turn.worker_seconds for turn in own) / len(own) for name, own in turns.items()
    }
    for name in ("SQLite", "server"):
        print(f"{name:8} wall time ÷ without tracking: {wall[name] / wall['nothing']:.3f}")
    outage_ratio = learning["server that dies"] / learning["server"]
    print(
        f"an outage of {outage_seconds:.0f} s: worker-seconds ÷ without it {outage_ratio:.3f};"
        f" points lost, doubled or out of order: {lost}"
    )
    print_figures(
        "tracking",
        wall_ratio_sqlite=wall["SQLite"] / wall["nothing"],
        wall_ratio_server=wall["server"] / wall["nothing"],
        metrics_lost=sum(lost.values()),
        outage_worker_seconds_ratio=outage_ratio,
    )


def _measured(name: str, folder: Path, uri: str, workload: list[str]) -> Turn:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        turn = process.submit(_turn, folder, uri, workload).result()
    print(
        f"{name:18} {turn.wall_seconds:6.1f} s of wall clock, {turn.worker_seconds:6.1f} s of them"
        f" in stages; {turn.import_seconds:4.1f} s to import MLflow",
        flush=True,
    )
    return turn


def _turn(folder: Path, uri: str, workload: list[str]) -> Turn:
    began = time.perf_counter()
    import mlflow.pytorch  # noqa: F401, PLC0415

    imported = time.perf_counter()
    places = [
        f"store.uri={folder}/store",
        f"tracking.spool={folder}/spool",
        *([f"tracking.uri={uri}"] if uri else []),
    ]
    experiment = load_experiment(EXPERIMENT, [*workload, *SETTINGS, *places])
    nothing = NotingTracker()
    summary = run(experiment, folder / "out", tracker=None if uri else nothing).summary
    ended = time.perf_counter()
    return Turn(
        ended - imported,
        imported - began,
        summary["worker_seconds"],
        summary["run_id"],
        nothing.noted,
    )


def _outage(server: MlflowServer, after_seconds: float, seconds: float) -> None:
    time.sleep(after_seconds)
    server.kill()
    time.sleep(seconds)
    server.start()


def _num_wrong(uri: str, turn: Turn, expected: Turn) -> int:
    """Return the number of points that are missing, duplicated or out of order."""
    from mlflow import MlflowClient  # noqa: PLC0415

    client = MlflowClient(uri)
    found = client.get_run(turn.run_id)
    if found.info.status != "FINISHED":
        raise SystemExit(f"the run is {found.info.status}")
    wanted: dict[str, list[int]] = {}
    for name, step in expected.points:
        wanted.setdefault(name, []).append(step)
    wrong = 0
    for name, steps in wanted.items():
        has = [point.step for point in client.get_metric_history(turn.run_id, name)]
        wrong += sum(one != other for one, other in zip_longest(has, steps))
    return wrong


if __name__ == "__main__":
    main()
