"""Measure how query times grow from a hundred tracked runs to ten thousand, on PostgreSQL.

    .venv/bin/python benchmarks/many_runs.py            10,000 runs, about 5 minutes
    .venv/bin/python benchmarks/many_runs.py --quick    500 runs
    .venv/bin/python benchmarks/many_runs.py --runs N   any other number

One short experiment on digits runs in process and is recorded. The project's tracker then writes a
hundred runs from the recorded numbers into PostgreSQL, all in one MLflow experiment and on one data
set: 60 runs, and a sweep of 39 trials; ten of the runs register a teacher and a student. All other
runs are SQL copies of these hundred under new ids: their rows are as the tracker wrote them, and
they have no files of their own. Each query runs three times in one process that has imported
everything, and the fastest counts. PostgreSQL's own statistics count the rows read in full table
scans. The largest store is also queried through an MLflow server.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from many_runs_store import (
    BLOCK,
    EXPERIMENT_NAME,
    MODEL,
    RecordedRun,
    copy_block,
    record_a_run,
    scanned_rows,
    settle,
    write_block,
)
from measuring import print_figures

from orchestrator.pipelines.records.listing import Filters, list_records
from orchestrator.pipelines.records.reconcile import reconcile
from orchestrator.pipelines.records.report import compare, report
from orchestrator.pipelines.retraining.history import read_history
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.state import ModelPair
from orchestrator.tracking.mlflow.runs import open_store
from orchestrator.tracking.mlflow.saved_views import save_views
from orchestrator.tracking.reading import open_existing_registry
from orchestrator.tracking.registry import TICK_TAG
from orchestrator.tracking.views.comparisons import run_views
from tests.integration.servers import mlflow_server, postgres

SIZES = (100, 1_000, 10_000)
NUM_TIMES = 3
NUM_COMPARED = 10
Questions = Mapping[str, Callable[[], object]]


def main() -> None:
    """Fill a store, run the queries at every size, and print seconds and their growth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=SIZES[-1], help="number of runs, at least 200")
    parser.add_argument("--quick", action="store_true", help="500 runs")
    arguments = parser.parse_args()
    most = 500 if arguments.quick else arguments.runs
    if most < 2 * BLOCK:
        parser.error(f"--runs {most} is less than {2 * BLOCK}")
    sizes = [*(size for size in SIZES if size < most), most // BLOCK * BLOCK]
    with tempfile.TemporaryDirectory() as scratch, inside(Path(scratch)) as folder:
        recorded = record_a_run(folder / "recorded")
        print(f"recorded: {recorded}", flush=True)
        (folder / "postgres").mkdir()
        with postgres(folder / "postgres") as uri:
            measure(uri, folder, recorded, sizes)


def measure(uri: str, folder: Path, recorded: RecordedRun, sizes: list[int]) -> None:
    """Fill a database to each size, and print the seconds of each query."""
    started = time.perf_counter()
    run_ids = write_block(uri, folder, recorded)
    seconds_a_run = (time.perf_counter() - started) / BLOCK
    print(f"the tracker wrote {BLOCK} runs, {seconds_a_run:.2f} s each", flush=True)
    answers: dict[str, list[float]] = {}
    scanned: dict[str, int] = {}
    for size in sizes:
        started = time.perf_counter()
        copy_block(uri, size)
        print(f"{size} runs, copied in {time.perf_counter() - started:.0f} s", flush=True)
        for name, answer in questions(uri, folder, run_ids).items():
            before = scanned_rows(uri)
            answers.setdefault(name, []).append(quickest(answer))
            settle(uri)
            scanned[name] = (scanned_rows(uri) - before) // (NUM_TIMES + 1)
    (folder / "server").mkdir()
    with mlflow_server(uri, folder / "server") as server:
        of_server = {
            name: quickest(answer)
            for name, answer in questions(server.uri, folder, run_ids).items()
        }
    print_table(sizes, answers, scanned, of_server)
    growth = math.log(sizes[-1] / sizes[0])
    print_figures(
        "many_runs",
        runs=sizes[-1],
        written_by_tracker=BLOCK,
        seconds_a_run=seconds_a_run,
        seconds={name: round(own[-1], 3) for name, own in answers.items()},
        exponents={
            name: round(math.log(own[-1] / own[0]) / growth, 2) for name, own in answers.items()
        },
        scanned_rows=scanned,
        seconds_of_server={name: round(own, 3) for name, own in of_server.items()},
    )


def questions(uri: str, folder: Path, run_ids: list[str]) -> Questions:
    """Return the queries by name.

    Args:
        uri: Address of the store.
        folder: Folder for output files.
        run_ids: Finished runs that are neither sweeps nor trials.
    """
    page = folder / "page.html"
    registry = open_existing_registry(uri, MODEL)
    pairs = ModelPairs(registry)

    def look_up() -> None:
        champion = pairs.holder_of("champion")
        assert champion is not None  # noqa: S101 - the block has one
        assert pairs.has(champion)  # noqa: S101
        pairs.state_of(champion)
        pairs.predecessor_of(champion)
        pairs.of_student(champion.student)
        registry.versions("student", TICK_TAG, "tick 3")
        registry.model_tags("student")
        pairs.has(ModelPair("999999", "999999"))

    def views() -> None:
        store = open_store(uri, EXPERIMENT_NAME)
        save_views(store.client, store.experiment_id, run_views(10))

    return {
        "list": lambda: list_records(Filters(), uri),
        "list of one experiment": lambda: list_records(
            Filters(experiment=EXPERIMENT_NAME, state="finished"), uri
        ),
        "report of a run": lambda: report(run_ids[0], uri, page),
        "compare of 10 runs": lambda: compare(run_ids[:NUM_COMPARED], uri, page),
        "saved views": views,
        "reconcile": lambda: reconcile(uri, folder / "spool"),
        "a tick's look-ups": look_up,
        "history of a retraining": lambda: read_history(registry),
    }


def quickest(answer: Callable[[], object]) -> float:
    """Run a query several times, and return the fewest seconds; the first run only warms up."""
    answer()
    seconds = []
    for _ in range(NUM_TIMES):
        started = time.perf_counter()
        answer()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def print_table(
    sizes: list[int],
    answers: Mapping[str, list[float]],
    scanned: Mapping[str, int],
    of_server: Mapping[str, float],
) -> None:
    """Print seconds, ratio and exponent as a Markdown table."""
    heads = [f"{size:,} runs" for size in sizes]
    print(f"\n| answer | {' | '.join(heads)} | ratio | exponent | rows scanned | server |")
    print(f"|---|{'---|' * (len(sizes) + 4)}")
    for name, seconds in answers.items():
        ratio = seconds[-1] / seconds[0]
        exponent = math.log(ratio) / math.log(sizes[-1] / sizes[0])
        cells = [f"{one:.3f} s" for one in seconds]
        print(
            f"| {name} | {' | '.join(cells)} | {ratio:.1f} | {exponent:.2f} |"
            f" {scanned[name]:,} | {of_server[name]:.3f} s |"
        )
    print()


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """Change the working folder: a database server's MLflow artifacts lie below it."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()
