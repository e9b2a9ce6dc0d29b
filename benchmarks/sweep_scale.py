"""Measure the overhead of a trial after ten, a hundred and a thousand others, and the commands that
read such a sweep.

    .venv/bin/python benchmarks/sweep_scale.py                 2 × 1,000 trials: hours on 2 cores
    .venv/bin/python benchmarks/sweep_scale.py --quick         2 × 60 trials, under 5 minutes
    .venv/bin/python benchmarks/sweep_scale.py --simulate 100000      ledger and study only

The first workload is a closed form on stored features (a student that inherits the first stage of a
pre-trained extractor). The second is the student's transfer rule with one epoch, on a few images of
digits. Trials run one at a time. A trial's overhead is the time from the previous trial's end to
its own, less the time of its stages; the figures are medians of the trials around the tenth, the
hundredth and the last. The driver's own CPU seconds are reported too: load on the machine changes
them little. Memory is that of the driver's process; `driver_memory_ratio` is memory after the tenth
trial ÷ memory after the last (1: flat). Then `report`, `plan` and `--resume` run in new processes.

The simulation computes nothing: it writes trials that never ran to a ledger and to a study, and
times a sweep's operations on them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from measuring import EXPERIMENT, print_figures
from scale_simulation import simulate
from soak import ORCHESTRATOR

from orchestrator.config import SearchSpace, dump_experiment, load_experiment
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.sweep import sweep
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.trial_status import TrialStatus

SMALL = [
    "scenario.class_order=[0, 1, 2, 3]",
    "scenario.max_images_per_class=20",
    "data.validation_fraction=0.2",
    "teacher.num_views=0",
    "teacher.augmentation={kind: none}",
    "teacher.refinement.epochs=0",
    "tracking.models=none",
]
WORKLOADS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "closed form": (
        [
            "teacher.backbone={kind: efficientnet_lite0, input_size: 32}",
            "teacher.extractor={kind: pretrained}",
            "student.backbone={kind: inherited, until: stage1}",
            "student.teaching=null",
            "student.transfer={kind: per_sample, highest: 0.8, lowest: 0.6}",
        ],
        {
            "student.classifier_shrinkage": {"kind": "log_uniform", "low": 0.001, "high": 1},
            "student.temperature": {"kind": "log_uniform", "low": 1, "high": 8},
            "student.transfer.highest": {"kind": "uniform", "low": 0.6, "high": 1},
        },
    ),
    "transfer rule": (
        ["teacher.training.epochs=1", "student.training.epochs=1", "student.transfer.kind=fixed"],
        {
            "student.transfer.ratio": {"kind": "uniform", "low": 0, "high": 1},
            "student.temperature": {"kind": "log_uniform", "low": 1, "high": 8},
            "student.embedding_weight": {"kind": "log_uniform", "low": 0.1, "high": 10},
        },
    ),
}
MIB = 2**20


class Meter(SilentSweepListener):
    """Listener that records each trial's overhead and the driver's memory at its end."""

    def __init__(self) -> None:
        """Start without trials."""
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.memory: list[int] = []
        self._since, self._cpu = time.perf_counter(), time.process_time()

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Measure a trial that has ended."""
        if trial.status in (TrialStatus.RUNNING, TrialStatus.INTERRUPTED):
            return  # an error ends the sweep
        if trial.status is not TrialStatus.FINISHED:
            raise SystemExit(f"trial {trial.number} is {trial.status}: {trial.reason}")
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds.append(now - self._since - trial.worker_seconds)
        self.cpu_seconds.append(cpu - self._cpu)
        self.memory.append(memory_of_this_process())
        self._since, self._cpu = now, cpu
        if len(self.seconds) % 50 == 0:
            print(f"    {self.told(len(self.seconds))}", flush=True)

    def around(self, values: Sequence[float], number: int) -> float:
        """Return the median of a value over the trials around one (trials count from 1)."""
        half = max(5, number // 20)
        last = min(number + half, len(values))
        return statistics.median(values[max(1, last - 2 * half) : last])  # trial 1 waits for Ray

    def told(self, number: int) -> str:
        """Return a line with the overhead of a trial."""
        wall, cpu = self.around(self.seconds, number), self.around(self.cpu_seconds, number)
        memory = self.memory[min(number, len(self.memory)) - 1] / MIB
        return (
            f"trial {number:5}: {wall:5.2f} s beside its stages, {cpu:5.2f} s of the driver's CPU,"
            f" {memory:5.0f} MiB"
        )


def memory_of_this_process() -> int:
    """Return the resident bytes of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not report a process's memory")


def space_of(name: str, num_trials: int) -> dict[str, Any]:
    """Return the search space of a workload."""
    return {
        "name": name.replace(" ", "-"),
        "parameters": WORKLOADS[name][1],
        "metric": "student/last_accuracy",
        "searcher": {"kind": "optuna"},
        "num_trials": num_trials,
        "max_concurrent_trials": 1,
    }


def measured(name: str, num_trials: int, folder: Path) -> dict[str, Any]:
    """Run the sweep and the commands, and return the figures of one workload."""
    places = [f"store.uri={folder / 'store'}", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    experiment = load_experiment(EXPERIMENT, [*SMALL, *WORKLOADS[name][0], *places])
    space, meter = space_of(name, num_trials), Meter()
    print(f"{name}: {num_trials} trials", flush=True)
    result = sweep(SearchSpace.model_validate(space), experiment, folder / "out", listener=meter)
    numbers = [10, *([100] if num_trials > 100 else []), num_trials]
    for number in numbers:
        print(f"  {meter.told(number)}")
    figures: dict[str, Any] = {
        "seconds_per_trial": {n: round(meter.around(meter.seconds, n), 3) for n in numbers},
        "cpu_seconds_per_trial": {n: round(meter.around(meter.cpu_seconds, n), 3) for n in numbers},
        "driver_memory_ratio": round(meter.memory[9] / meter.memory[-1], 3),
        "mib": {
            "driver": round(meter.memory[-1] / MIB),
            "ledger": size_of(folder / "out" / "ledger.jsonl"),
            "mlflow": size_of(folder / "mlflow.db"),
            "study": sum(map(size_of, folder.glob("**/*studies*.db"))),
            "output": size_of(folder / "out"),
            "store": size_of(folder / "store"),
        },
    }
    print(f"  MiB: {figures['mib']}")
    experiment_file, space_file = folder / "experiment.yaml", folder / "space.yaml"
    experiment_file.write_text(dump_experiment(experiment), encoding="utf-8")
    space_file.write_text(yaml.safe_dump(space), encoding="utf-8")
    resume = ["sweep", space_file, "--experiment", experiment_file, "--output", folder / "out"]
    uri = f"sqlite:///{folder}/mlflow.db"
    questions = {
        "report": ["report", result.summary["sweep_id"], "--tracking-uri", uri],
        "plan": ["plan", experiment_file, "--search-space", space_file],
        "resume": [*resume, "--resume"],
        "resume_with_one_more": [*resume, "--resume", "--num-trials", num_trials + 1],
    }
    for question, words in questions.items():
        seconds, cpu_seconds = asked(words, folder)
        figures[f"{question}_seconds"], figures[f"{question}_cpu_seconds"] = seconds, cpu_seconds
        print(f"  {question}: {seconds} s, {cpu_seconds} s of CPU", flush=True)
    return figures


def size_of(path: Path) -> float:
    """Return the MiB of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / MIB, 2)


def asked(words: Sequence[object], folder: Path) -> tuple[float, float]:
    """Run a command, and return its wall and CPU seconds."""
    started, cpu = time.perf_counter(), cpu_of_children()
    done = subprocess.run(  # noqa: S603 - our own command
        [str(ORCHESTRATOR), *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{words[0]} ended with {done.returncode}: {done.stderr}")
    return round(time.perf_counter() - started, 2), round(cpu_of_children() - cpu, 2)


def cpu_of_children() -> float:
    """Return the CPU seconds of all commands so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure both workloads, or simulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 trials of each workload")
    parser.add_argument(
        "--trials", type=int, default=1000, metavar="N", help="trials of each workload"
    )
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--simulate", type=int, metavar="N", help="only simulate this many trials")
    arguments = parser.parse_args()
    if arguments.simulate:
        simulate(arguments.simulate)
        return
    num_trials = 60 if arguments.quick else arguments.trials
    found = {}
    for name in arguments.workloads:
        with tempfile.TemporaryDirectory(prefix="sweep-scale-") as scratch:
            found[name] = measured(name, num_trials, Path(scratch))
    first = next(iter(found.values()))
    print_figures(
        "sweep_scale",
        trials=num_trials,
        seconds_per_trial_10=first["seconds_per_trial"][10],
        seconds_per_trial_1000=first["seconds_per_trial"][num_trials],
        **{
            key: first[key]
            for key in first
            if key == "driver_memory_ratio" or key.endswith("_seconds")
        },
        workloads=found,
    )


if __name__ == "__main__":
    main()
