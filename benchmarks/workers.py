"""Compare one worker with two on the teacher lane: equal accuracy, and the speed-up.

    .venv/bin/python benchmarks/workers.py            seeds 0, 1, 2; about 10 minutes on 2 cores
    .venv/bin/python benchmarks/workers.py --quick    one seed, few epochs: under 3 minutes

The global batch is the same for any number of workers: each worker takes its share, and gradients
are averaged. Every worker has one CPU and one thread. Only teacher stages are computed; throughput
is the inverse of their seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from measuring import digits_work, print_figures, timed

from orchestrator.data import Split
from orchestrator.evaluation import last_accuracy

WORKLOADS = {
    "full": ["teacher.training.epochs=30"],
    "quick": ["teacher.training.epochs=6", "teacher.refinement.epochs=3"],
}
# the CPUs of two teacher workers leave little for the student lane, which is idle here
SMALL_REST = [
    "execution.teacher.num_cpus_per_worker=0.99",
    "execution.student.num_cpus_per_worker=0.01",
]


def main() -> None:
    """Measure both for every seed, and print the ratio of their speed and the difference of their
    accuracy.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, few epochs")
    quick = parser.parse_args().quick
    seeds = (0,) if quick else (0, 1, 2)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    accuracy: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            for num in (1, 2):
                lanes = [f"execution.teacher.num_train_workers={num}", *SMALL_REST]
                overrides = [
                    *WORKLOADS["quick" if quick else "full"],
                    "execution.kind=ray",
                    *lanes,
                    f"seed={seed}",
                ]
                work = digits_work(Path(scratch) / f"{seed} {num}", overrides, roles=("teacher",))
                clock = timed(work)
                matrix = [work.evaluation_of(stage).rows[Split.TEST] for stage in work.stages]
                seconds[num].append(sum(stage.seconds for stage in clock.finished.values()))
                accuracy[num].append(last_accuracy(matrix))
                print(
                    f"seed {seed}, {num} workers: {seconds[num][-1]:6.1f} s, last accuracy"
                    f" {100 * accuracy[num][-1]:.2f} %",
                    flush=True,
                )
                clock.print_stages()
    ratio = sum(seconds[1]) / sum(seconds[2])
    difference = statistics.mean(accuracy[2]) - statistics.mean(accuracy[1])
    print(
        f"\n2 workers against 1: {ratio:.2f} times as fast, last accuracy {100 * difference:+.2f}"
        " points"
    )
    print_figures(
        "workers", throughput_ratio=ratio, accuracy_difference=difference, seeds=list(seeds)
    )


if __name__ == "__main__":
    main()
