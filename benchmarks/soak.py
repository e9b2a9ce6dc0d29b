"""Kill twenty runs at random moments and restart them until done: all must give the same result.

    .venv/bin/python benchmarks/soak.py            20 kills, about 25 minutes on 2 cores
    .venv/bin/python benchmarks/soak.py --quick    2 kills, under 3 minutes

Each run gets one kill -9 of its driver, of a lane's worker, or of its cluster's raylet, at a random
moment of training. If that ends the run, the same command is run again. Then weights, metrics and
training curves are compared bit for bit with those of an undisturbed run. The benchmark also counts
what a kill leaves behind: processes, MLflow runs that are still RUNNING, and temporary files or
epoch checkpoints in the store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import EXPERIMENT, print_figures
from mlflow import MlflowClient

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")
SMALL = [
    "scenario.class_order=[0, 1, 2, 3, 4, 5]",
    "execution.kind=ray",
    "teacher.training.epochs=6",
    "teacher.refinement.epochs=4",
    "student.training.epochs=10",
]
TARGETS = ("driver", "teacher", "student", "raylet")
MOST_STARTS = 4
# after the driver is killed, Ray's own agents of the node retry their connection to it for 60 s
# before they exit
PATIENCE_SECONDS = 90


class Run:
    """One experiment in a folder of its own, run as a user runs it."""

    def __init__(self, folder: Path) -> None:
        """Prepare the folder, without starting the run.

        Args:
            folder: For store, results and MLflow.
        """
        self.folder = folder
        self.store = folder / "store"
        self.tracking = f"sqlite:///{folder}/mlflow.db"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command, and return its process."""
        settings = [*SMALL, f"store.uri={self.store}", f"tracking.uri={self.tracking}"]
        command = [
            str(ORCHESTRATOR),
            "run",
            str(EXPERIMENT),
            *(word for value in settings for word in ("--set", value)),
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "terminal.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own
                [*command, "--output", str(self.folder / "out")], stdout=log, stderr=log
            )

    def result(self) -> dict[str, Any]:
        """Return everything that must be equal: metrics, and a digest of every stage's weights and
        training curve.
        """
        summary = json.loads((self.folder / "out" / "summary.json").read_text())
        stages = {}
        for stage in summary["stages"]:
            folder = self.store / stage["key"]
            manifest = json.loads((folder / "manifest.json").read_text())
            tensors = (folder / f"{manifest['sha256']}.safetensors").read_bytes()
            stages[stage["name"]] = [
                hashlib.sha256(tensors).hexdigest(),
                manifest["values"]["epochs"],
            ]
        return {"stages": stages, **{role: summary[role] for role in ("teacher", "student")}}

    def left_behind(self) -> list[str]:
        """Return the remains of an interrupted run: unfinished files in the store, and MLflow runs
        still RUNNING.
        """
        files = [
            str(path)
            for path in self.store.rglob("*")
            if path.name.startswith((".tmp-", "damaged-"))
        ]
        files += [str(path) for path in self.store.glob("progress/*")]
        client = MlflowClient(tracking_uri=self.tracking)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        running = client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'")
        return [*files, *(f"MLflow run {run.info.run_id}" for run in running)]


def processes() -> Iterator[tuple[int, str, str]]:
    """Return pid, command line and open files of every process that may be inspected."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            held = [folder / "cwd", *(folder / "fd").iterdir()]
            yield int(folder.name), command, " ".join(str(path.readlink()) for path in held)
        except OSError:
            continue


def find(target: str, driver: int) -> int | None:
    """Return the process to kill; None if there is none at the moment."""
    if target == "driver":
        return driver
    for pid, command, held in processes():
        if (
            f"_{driver}/" not in f"{command} {held}"
        ):  # Ray names its session by the time and the driver's pid
            continue
        if target == "raylet" and "/raylet/raylet " in command:
            return pid
        if "RayTrainWorker" in command and f"/artifacts/{target}-" in held:
            return pid
    return None


def disturbed(run: Run, target: str, delay: float) -> tuple[str | None, int, set[int]]:
    """Run to completion, with one kill some seconds after the start of training.

    Returns:
        The killed target, None if the run was faster; the number of starts; all drivers' pids.
    """
    drivers: set[int] = set()
    killed = None
    for start in range(1, MOST_STARTS + 1):
        process = run.start()
        drivers.add(process.pid)
        while process.poll() is None:
            if killed is None and any(run.store.glob("progress/*")):
                time.sleep(delay)
                killed = kill(target, process)
            time.sleep(0.1)
        if process.returncode == 0:
            return killed, start, drivers
        print(f"    start {start} ended with exit code {process.returncode}", flush=True)
    msg = f"not done after {MOST_STARTS} starts; see {run.folder}/terminal.log"
    raise SystemExit(msg)


def kill(target: str, process: subprocess.Popen[bytes]) -> str | None:
    """Kill the target, or another one if that lane has no worker any more; return which one."""
    for chosen in (target, "student", "driver"):
        victim = find(chosen, process.pid)
        if victim is not None and process.poll() is None:
            os.kill(victim, signal.SIGKILL)
            print(f"    killed the {chosen} (pid {victim})", flush=True)
            return chosen
    return None


def living_of(drivers: set[int]) -> list[str]:
    """Return the processes of these drivers' clusters that survive a grace period."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [
            f"{pid} {command[:80]}"
            for pid, command, held in processes()
            if pid in drivers
            or any(
                "/session_" in text and f"_{driver}/" in text
                for driver in drivers
                for text in (command, held)
            )
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def main() -> None:
    """Run once undisturbed, then repeatedly with a kill."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2 kills")
    parser.add_argument("--runs", type=int, default=20, help="number of kills (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of targets and moments")
    arguments = parser.parse_args()
    num_runs = 2 if arguments.quick else arguments.runs
    chance = random.Random(arguments.seed)  # noqa: S311 - no secret
    num_equal, left, remaining = 0, [], []
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        reference = Run(Path(scratch) / "reference")
        process = reference.start()
        while not any(reference.store.glob("progress/*")) and process.poll() is None:
            time.sleep(0.1)
        started = time.monotonic()
        if process.wait() != 0:
            raise SystemExit((reference.folder / "terminal.log").read_text())
        learning_seconds = time.monotonic() - started
        expected = reference.result()
        print(f"undisturbed: {learning_seconds:.0f} s from the first epoch to the end", flush=True)
        number = attempts = 0
        while number < num_runs:
            target, delay = (
                TARGETS[number % len(TARGETS)],
                chance.uniform(0, 0.8 * learning_seconds),
            )
            print(
                f"run {number + 1}: the {target}, {delay:.1f} s after the start of training",
                flush=True,
            )
            attempts += 1
            run = Run(Path(scratch) / str(attempts))
            started = time.monotonic()
            killed, starts, drivers = disturbed(run, target, delay)
            if killed is None:
                print("    finished before the kill; once more", flush=True)
                continue
            number += 1
            is_equal = run.result() == expected
            num_equal += is_equal
            remaining += living_of(drivers)
            left += run.left_behind()
            print(
                f"    {'equal' if is_equal else 'DIFFERENT'} after {starts} starts,"
                f" {time.monotonic() - started:.0f} s",
                flush=True,
            )
    for name, found in (("process", remaining), ("trace", left)):
        for one in found:
            print(f"left behind, {name}: {one}")
    print_figures(
        "soak", runs=num_runs, equal=num_equal, orphans=len(remaining), left_behind=len(left)
    )


if __name__ == "__main__":
    main()
