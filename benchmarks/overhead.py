"""Measure Ray's overhead: an experiment in one process against one worker per lane under Ray.

    .venv/bin/python benchmarks/overhead.py            about 14 minutes on 2 cores
    .venv/bin/python benchmarks/overhead.py --quick    under 3 minutes

Worker-seconds are the time that workers spend in stages: loading a stage's inputs, training, epoch
checkpoints, evaluation, storing. In process one CPU is busy, under Ray two are, and most machines
slow both down then. Ray is therefore also measured with one lane after the other. All sides use one
thread and take two turns each, in the order A B C C B A, so that changes in the machine's speed
affect all of them. Every turn is a new process, as a user's run is, and so includes the imports
that torch does on its first training step (some seconds). Start-up runs from the call to the start
of the first stage; under Ray it includes starting a local cluster and the first worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measuring import IN_PROCESS, Clock, digits_work, print_figures, timed

from orchestrator.config.roles import Role

WORKLOADS = {
    "full": [
        "teacher.training.epochs=130",
        "teacher.refinement.epochs=65",
        "student.training.epochs=86",
    ],
    "quick": [
        "teacher.training.epochs=10",
        "teacher.refinement.epochs=5",
        "student.training.epochs=6",
    ],
}


SIDES = {
    "in process": [*IN_PROCESS, "execution.num_threads=1"],
    "Ray, a lane at a time": ["execution.kind=ray"],
    "Ray": ["execution.kind=ray"],
}
ORDER = ("in process", "Ray, a lane at a time", "Ray")


def main() -> None:
    """Measure all sides, and print the ratios of their worker-seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller workload")
    workload = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    spent: dict[str, list[float]] = {name: [] for name in SIDES}
    startups: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for turn, name in enumerate([*ORDER, *reversed(ORDER)]):
            clocks = _in_own_process(Path(scratch) / str(turn), name, [*workload, *SIDES[name]])
            spent[name].append(sum(clock.worker_seconds for clock in clocks))
            startups += [clock.startup_seconds for clock in clocks] if name == "Ray" else []
            print(
                f"{name:21}  {spent[name][-1]:6.1f} worker-seconds,"
                f" {clocks[0].startup_seconds:4.1f} s to start",
                flush=True,
            )
            for clock in clocks:
                clock.print_stages()
    reference = sum(spent["in process"])
    both, one_lane = (sum(spent[name]) / reference for name in ("Ray", "Ray, a lane at a time"))
    print(f"\nworker-seconds, Ray ÷ in process: {both:.3f}")
    print(f"of that, what Ray adds: {one_lane:.3f} (a lane at a time: one busy CPU, as in process)")
    print(f"and what the machine adds when both of its CPUs are busy: {both / one_lane:.3f}")
    print_figures(
        "overhead",
        worker_seconds_ratio=both,
        startup_seconds=max(startups),
        one_lane_ratio=one_lane,
        two_busy_cpus_ratio=both / one_lane,
        in_process_worker_seconds=reference,
    )


def _in_own_process(store: Path, name: str, overrides: list[str]) -> list[Clock]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_turn, store, name, overrides).result()


def _turn(store: Path, name: str, overrides: list[str]) -> list[Clock]:
    parts: list[tuple[Role, ...]] = (
        [("teacher",), ("student",)]
        if name == "Ray, a lane at a time"
        else [("teacher", "student")]
    )
    return [timed(digits_work(store, overrides, roles)) for roles in parts]


if __name__ == "__main__":
    main()
