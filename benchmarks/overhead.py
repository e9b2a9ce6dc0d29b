"""What Ray costs: an experiment in one process against the same under Ray with one worker a lane.

    .venv/bin/python benchmarks/overhead.py            about 12 minutes on 2 cores
    .venv/bin/python benchmarks/overhead.py --quick    under 3 minutes

Worker-seconds are what workers spend in stages: reading what a stage builds on, learning, epoch checkpoints, evaluating,
storing. Both sides compute with one thread, and each has two turns, in the order A B B A: a machine that is now faster and now
slower is so for both. Every turn has a process of its own, as a user's run has: what torch loads when it first learns (some seconds)
is in all of them. Start-up is from the call to the first stage's begin; under Ray it holds starting a cluster on this machine and
the first worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measuring import IN_PROCESS, Clock, digits_work, print_figures, timed

WORKLOADS = {
    "full": ["teacher.training.epochs=100", "teacher.refinement.epochs=50", "student.training.epochs=66"],
    "quick": ["teacher.training.epochs=10", "teacher.refinement.epochs=5", "student.training.epochs=6"],
}


SIDES = {"in process": [*IN_PROCESS, "execution.num_threads=1"], "Ray": ["execution.kind=ray"]}


def main() -> None:
    """Measures both, and prints the ratio of their worker-seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller workload")
    workload = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    clocks: dict[str, list[Clock]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as scratch:
        for turn, name in enumerate(["in process", "Ray", "Ray", "in process"]):
            clock = _in_own_process(Path(scratch) / str(turn), [*workload, *SIDES[name]])
            clocks[name].append(clock)
            print(
                f"{name:10}  {clock.worker_seconds:6.1f} worker-seconds, {clock.wall_seconds():6.1f} s of wall clock, "
                f"{clock.startup_seconds:4.1f} s to start",
                flush=True,
            )
            clock.print_stages()
    ours, reference = (sum(clock.worker_seconds for clock in clocks[name]) for name in ("Ray", "in process"))
    print(f"\nworker-seconds, Ray ÷ in process: {ours / reference:.3f}")
    print_figures(
        "overhead",
        worker_seconds_ratio=ours / reference,
        startup_seconds=max(clock.startup_seconds for clock in clocks["Ray"]),
        in_process_worker_seconds=reference,
        ray_worker_seconds=ours,
        wall_ratio=sum(clock.wall_seconds() for clock in clocks["Ray"]) / sum(clock.wall_seconds() for clock in clocks["in process"]),
    )


def _in_own_process(store: Path, overrides: list[str]) -> Clock:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_turn, store, overrides).result()


def _turn(store: Path, overrides: list[str]) -> Clock:
    return timed(digits_work(store, overrides))


if __name__ == "__main__":
    main()
