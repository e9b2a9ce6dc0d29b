"""Compare both lanes in parallel with both in sequence on two cores.

    .venv/bin/python benchmarks/lanes.py            about 12 minutes on 2 cores
    .venv/bin/python benchmarks/lanes.py --quick    under 3 minutes

The workload is digits in nine tasks, with epochs chosen so that a teacher stage takes about as long
as a student stage. Every worker is a Ray Train worker of one CPU and one thread, in both modes.
Times run from the start of the first stage to the end of the last. They therefore exclude Ray's
start-up (`benchmarks/overhead.py` measures it) and include the start-up of the student lane while
the teacher works. The realistic alternative on one machine is measured too: the same stages in one
process that uses both cores as threads.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import IN_PROCESS, digits_work, print_figures, timed

NINE_TASKS = [
    "scenario.num_base_classes=2",
    "scenario.classes_per_task=1",
    "teacher.refinement.batch_size=16",
    "student.training.batch_size=16",
]
WORKLOADS = {
    "full": [
        *NINE_TASKS,
        "teacher.training.epochs=10",
        "teacher.refinement.epochs=38",
        "student.training.epochs=16",
    ],
    "quick": [
        *NINE_TASKS,
        "teacher.training.epochs=3",
        "teacher.refinement.epochs=7",
        "student.training.epochs=3",
    ],
}


def main() -> None:
    """Measure all three modes, and print the ratio of the first two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller workload")
    workload = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    with tempfile.TemporaryDirectory() as scratch:
        stores = Path(scratch)

        both = timed(digits_work(stores / "at once", workload))
        print(f"both lanes at once:       {both.wall_seconds():6.1f} s")
        both.print_stages()

        teacher = timed(digits_work(stores / "in turn", workload, roles=("teacher",)))
        student = timed(
            digits_work(stores / "in turn", workload)
        )  # finds the teacher's stages in the store
        in_turn = teacher.wall_seconds() + student.wall_seconds("student")
        print(f"one lane after the other: {in_turn:6.1f} s")
        teacher.print_stages()
        student.print_stages()

        threads = timed(
            digits_work(stores / "threads", [*workload, *IN_PROCESS, "execution.num_threads=2"])
        )
        print(f"in one process, 2 threads:{threads.wall_seconds():6.1f} s")
        threads.print_stages()

    ratio = both.wall_seconds() / in_turn
    print(
        f"\nat once ÷ one after the other: {ratio:.2f}   at once ÷ in one process:"
        f" {both.wall_seconds() / threads.wall_seconds():.2f}"
    )
    print_figures(
        "lanes",
        wall_ratio=ratio,
        wall_seconds=both.wall_seconds(),
        sequential_seconds=in_turn,
        in_process_seconds=threads.wall_seconds(),
        teacher_seconds=teacher.worker_seconds,
        student_seconds=student.worker_seconds,
    )


if __name__ == "__main__":
    main()
