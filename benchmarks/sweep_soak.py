"""Kill the drivers of ten sweeps at random moments and resume them: each must end like an
undisturbed sweep.

    .venv/bin/python benchmarks/sweep_soak.py            10 kills, about 15 minutes on 2 cores
    .venv/bin/python benchmarks/sweep_soak.py --quick    2 kills, under 3 minutes
    .venv/bin/python benchmarks/sweep_soak.py --several-objectives       with a Pareto front

Each sweep gets one kill -9 of its driver at a random moment between its start and its end. It is
resumed as a user would: by the same command with --resume, or without if the kill came before the
ledger's first line. Then its trials (numbers, parameters, objectives after every task) are compared
with those of the undisturbed sweep, to the last digit; with several objectives, each value and the
front too. The benchmark also counts stages that were stored twice (a replaced manifest has another
inode), MLflow children that belong to no trial, runs that are still RUNNING, processes and
temporary files. The searcher is random: an estimator's proposals depend on which trial ends first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from measuring import EXPERIMENT, print_figures
from mlflow import MlflowClient
from soak import MOST_STARTS, ORCHESTRATOR, Run, living_of

SPACE: dict[str, Any] = {
    "name": "soak",
    "parameters": {
        "student.temperature": {"kind": "log_uniform", "low": 1, "high": 8},
        "teacher.joint_embedding.weight": {"kind": "choice", "values": [0.01, 0.1]},
    },
    "searcher": {"kind": "random"},
}
SEVERAL = {
    "metrics": {
        "student/last_accuracy": "max",
        "student/num_parameters": "min",
        "student/forgetting": "min",
    },
    "parameters": {
        **SPACE["parameters"],
        "student.backbone.kind": {"kind": "choice", "values": ["small_cnn_tiny", "small_cnn"]},
    },
}
SMALL = [
    "scenario.class_order=[0, 1, 2, 3, 4, 5]",
    "scenario.max_images_per_class=30",
    "teacher.num_views=1",
    "teacher.training.epochs=2",
    "teacher.refinement.epochs=1",
    "teacher.augmentation.num_steps=2",
    "student.training.epochs=4",
]


class Sweep(Run):
    """One sweep in a folder of its own, started as a user starts it."""

    def __init__(self, folder: Path, space: Path) -> None:
        """Prepare the folder, without starting the sweep.

        Args:
            folder: For store, results and MLflow.
            space: The search space file.
        """
        super().__init__(folder)
        self.space = space
        self.manifests: dict[str, set[tuple[int, int]]] = defaultdict(set)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command, with --resume if there is something to resume, and return its
        process.
        """
        settings = [*SMALL, f"store.uri={self.store}", f"tracking.uri={self.tracking}"]
        command = [
            str(ORCHESTRATOR),
            "sweep",
            str(self.space),
            "--experiment",
            str(EXPERIMENT),
            "--output",
            str(self.folder / "out"),
        ]
        ledger = self.folder / "out" / "ledger.jsonl"
        resume = ["--resume"] if ledger.exists() and "\n" in ledger.read_text() else []
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "terminal.log").open("ab") as log:
            words = [*command, *(word for value in settings for word in ("--set", value)), *resume]
            return subprocess.Popen(words, stdout=log, stderr=log)  # noqa: S603 - our own

    def note_manifests(self) -> None:
        """Record the manifest of every stored stage and evaluation; storing one again replaces the
        file.
        """
        for path in self.store.glob("*/manifest.json"):
            status = path.stat()
            self.manifests[path.parent.name].add((status.st_ino, status.st_mtime_ns))

    def result(self) -> dict[str, Any]:
        """Return everything that must be equal: the trials, and the keys of stored stages."""
        summary = json.loads((self.folder / "out" / "summary.json").read_text())
        trials = {
            trial["trial"]: [
                trial.get(name) for name in ("status", "parameters", "curve", "value", "values")
            ]
            for trial in summary["trials"]
        }
        return {
            "trials": trials,
            "best": summary["best"],
            "front": summary.get("front"),
            "stored": sorted(self.manifests),
        }

    def left_behind(self) -> list[str]:
        """Return the remains of an interrupted run, and MLflow children that belong to no trial."""
        client = MlflowClient(tracking_uri=self.tracking)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        summary = json.loads((self.folder / "out" / "summary.json").read_text())
        known = {summary["sweep_id"], *(trial["run_id"] for trial in summary["trials"])}
        finished = client.search_runs(experiments, filter_string="attributes.status = 'FINISHED'")
        return [
            *super().left_behind(),
            *(
                f"MLflow run {run.info.run_id} of no trial"
                for run in finished
                if run.info.run_id not in known
            ),
        ]

    def computed_twice(self) -> list[str]:
        """Return the keys that were stored more than once."""
        return [key for key, files in self.manifests.items() if len(files) > 1]


def to_the_end(sweep: Sweep, kill_after: float | None) -> tuple[int, bool, set[int]]:
    """Run the command until it is done, with one kill some seconds after its start.

    Returns:
        The number of starts; whether the kill hit it; the pids of all drivers.
    """
    drivers: set[int] = set()
    is_killed = False
    for start in range(1, MOST_STARTS + 1):
        process, started = sweep.start(), time.monotonic()
        drivers.add(process.pid)
        while process.poll() is None:
            if kill_after is not None and not is_killed and time.monotonic() - started > kill_after:
                os.kill(process.pid, signal.SIGKILL)
                is_killed = True
            sweep.note_manifests()
            time.sleep(0.05)
        sweep.note_manifests()
        if process.returncode == 0:
            return start, is_killed, drivers
    msg = f"not done after {MOST_STARTS} starts: {(sweep.folder / 'terminal.log').read_text()}"
    raise SystemExit(msg)


def main() -> None:
    """Sweep once undisturbed, then repeatedly with a kill."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2 kills of a smaller sweep")
    parser.add_argument("--runs", type=int, default=10, help="number of kills (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument(
        "--several-objectives", action="store_true", help="accuracy, parameters and forgetting"
    )
    arguments = parser.parse_args()
    num_runs, num_trials = (2, 4) if arguments.quick else (arguments.runs, 8)
    chance = random.Random(arguments.seed)  # noqa: S311 - no secret
    num_equal, twice, left, remaining = 0, [], [], []
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as scratch:
        space = Path(scratch) / "soak.yaml"
        several = SEVERAL if arguments.several_objectives else {}
        space.write_text(yaml.safe_dump({**SPACE, **several, "num_trials": num_trials}))
        reference, started = Sweep(Path(scratch) / "reference", space), time.monotonic()
        to_the_end(reference, None)
        whole_seconds = time.monotonic() - started
        expected = reference.result()
        print(f"undisturbed: {whole_seconds:.0f} s, {len(expected['trials'])} trials", flush=True)
        number = attempts = 0
        while number < num_runs:
            delay = chance.uniform(0, whole_seconds)
            print(f"sweep {number + 1}: killed {delay:.1f} s after its start", flush=True)
            attempts += 1
            sweep, started = Sweep(Path(scratch) / str(attempts), space), time.monotonic()
            starts, is_killed, drivers = to_the_end(sweep, delay)
            if not is_killed:
                print("    finished before the kill; once more", flush=True)
                continue
            number += 1
            is_equal = sweep.result() == expected
            num_equal += is_equal
            twice += sweep.computed_twice()
            remaining += living_of(drivers)
            left += sweep.left_behind()
            print(
                f"    {'equal' if is_equal else 'DIFFERENT'} after {starts} starts,"
                f" {time.monotonic() - started:.0f} s",
                flush=True,
            )
            if not is_equal:
                print(
                    f"    expected {json.dumps(expected)}\n    got     "
                    f" {json.dumps(sweep.result())}",
                    flush=True,
                )
    for name, found in (("process", remaining), ("trace", left), ("computed twice", twice)):
        for one in found:
            print(f"left behind, {name}: {one}")
    print_figures(
        "sweep_soak",
        runs=num_runs,
        equal=num_equal,
        computed_twice=len(twice),
        orphans=len(remaining),
        left_behind=len(left),
    )


if __name__ == "__main__":
    main()
