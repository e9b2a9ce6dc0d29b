"""What Ray costs: an experiment in one process against the same under Ray with one worker a lane.

    .venv/bin/python benchmarks/overhead.py            about 8 minutes on 2 cores
    .venv/bin/python benchmarks/overhead.py --quick    under 3 minutes

Worker-seconds are what workers spend in stages: reading what a stage builds on, learning, epoch checkpoints, evaluating,
storing. Both sides compute with one thread. Start-up is from the call to the first stage's begin; under Ray it holds starting a
cluster on this machine and the first worker.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import IN_PROCESS, digits_work, print_figures, timed

WORKLOADS = {
    "full": ["teacher.training.epochs=120", "teacher.refinement.epochs=60", "student.training.epochs=80"],
    "quick": ["teacher.training.epochs=20", "teacher.refinement.epochs=10", "student.training.epochs=12"],
}


def main() -> None:
    """Measures both, and prints the ratio of their worker-seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller workload")
    workload = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    with tempfile.TemporaryDirectory() as scratch:
        clocks = {}
        for name, execution in (("in process", [*IN_PROCESS, "execution.num_threads=1"]), ("Ray", ["execution.kind=ray"])):
            clock = clocks[name] = timed(digits_work(Path(scratch) / name, [*workload, *execution]))
            print(
                f"{name:10}  {clock.worker_seconds:6.1f} worker-seconds, {clock.wall_seconds():6.1f} s of wall clock, "
                f"{clock.startup_seconds:4.1f} s to start",
                flush=True,
            )
            clock.print_stages()
    ours, reference = clocks["Ray"], clocks["in process"]
    ratio = ours.worker_seconds / reference.worker_seconds
    print(f"\nworker-seconds, Ray ÷ in process: {ratio:.3f}")
    print_figures(
        "overhead",
        worker_seconds_ratio=ratio,
        startup_seconds=ours.startup_seconds,
        in_process_worker_seconds=reference.worker_seconds,
        ray_worker_seconds=ours.worker_seconds,
        wall_ratio=ours.wall_seconds() / reference.wall_seconds(),
    )


if __name__ == "__main__":
    main()
