"""Measure the CPU seconds of commands that train nothing, relative to importing MLflow.

    .venv/bin/python benchmarks/answers.py            about 8 minutes on 2 cores
    .venv/bin/python benchmarks/answers.py --quick    about 4 minutes

The benchmark first prepares two short runs, a sweep and a retraining with a champion, on digits, in
process. Then it runs each command several times, each time in a new process, and takes the fewest
CPU seconds (user and system, of the process and its children): load on the machine changes wall
time much and CPU time little. Each figure is also divided by that of `python -c "import mlflow"`,
measured the same way; this ratio carries over to other machines.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from measuring import EXPERIMENT, ROOT, SEARCH_SPACES, print_figures

BRIEFLY = {
    "teacher.training.epochs": 2,
    "teacher.refinement.epochs": 1,
    "teacher.num_views": 1,
    "student.training.epochs": 2,
    "execution.kind": "in_process",
}
OVERRIDES = [part for key, value in BRIEFLY.items() for part in ("--set", f"{key}={value}")]
ANYTHING = {
    "min_new_accuracy": 0,
    "old_accuracy_tolerance": 1,
    "max_forgetting": 1,
    "min_agreement": 0,
}


@dataclass(frozen=True)
class Question:
    """A command and its limits.

    Attributes:
        key: Name of its figure in the closing JSON line.
        name: Name in the printed table.
        arguments: Arguments of `orchestrator`.
        most_seconds: Allowed CPU seconds on an idle machine.
        exit_code: Expected exit code.
    """

    key: str
    name: str
    arguments: list[str]
    most_seconds: float
    exit_code: int = 0


def main() -> None:
    """Prepare a store, run the commands, and print their seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="run each command once instead of three times"
    )
    num_times = 1 if parser.parse_args().quick else 3
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        questions = prepare(folder)
        bare = min(cpu_seconds([sys.executable, "-c", "import mlflow"], folder, 0) for _ in "123")
        print(f"{'import mlflow, nothing else':34} {bare:5.2f} s of CPU", flush=True)
        seconds = {}
        for question in questions:
            command = [*orchestrator(), *question.arguments]
            seconds[question.name] = min(
                cpu_seconds(command, folder, question.exit_code) for _ in range(num_times)
            )
            print(
                f"{question.name:34} {seconds[question.name]:5.2f} s of CPU,"
                f" {seconds[question.name] / bare:4.2f} × import mlflow"
                f" (at most {question.most_seconds:g} s)",
                flush=True,
            )
    late = [it.name for it in questions if seconds[it.name] > it.most_seconds]
    print(f"longer than allowed: {', '.join(late) or 'none'}")
    print_figures(
        "answers",
        mlflow_import=round(bare, 2),
        **{it.key: round(seconds[it.name], 2) for it in questions},
        ratios={it.key: round(seconds[it.name] / bare, 2) for it in questions},
        late=late,
    )


def prepare(folder: Path) -> list[Question]:
    """Make runs, a sweep and a retraining in a folder, and return the commands to measure."""
    digits, space = str(EXPERIMENT), str(SEARCH_SPACES / "smoke.yaml")
    first, second = (
        made(folder, "run", digits, *OVERRIDES, "--set", f"seed={seed}", "--output", f"out/{seed}")
        for seed in (0, 1)
    )
    sweep = made(folder, "sweep", space, "--experiment", digits, "--output", "out/sweep")
    (folder / "retraining.yaml").write_text(yaml.safe_dump(retraining()), encoding="utf-8")
    deliver = [sys.executable, str(ROOT / "experiments" / "deliver_digits.py"), "arrivals", "0"]
    subprocess.run([*deliver, "1"], cwd=folder, check=True, capture_output=True)  # noqa: S603 - ours
    promoted = ["retrain", "retraining.yaml", "--output", "out/tick"]
    made(folder, *promoted)
    again = ["run", digits, *OVERRIDES, "--set", "seed=0", "--output", "out/again"]
    return [
        Question("idle_tick", "idle tick of a retraining", promoted, 4),
        Question("report", "report of a run", ["report", first], 3),
        Question("report_of_a_sweep", "report of a sweep", ["report", sweep], 3),
        Question("compare", "compare two runs", ["compare", first, second], 3),
        Question("list", "list", ["list"], 2),
        Question("plan", "plan", ["plan", digits], 2),
        Question("gc", "gc --dry-run", ["gc", "--dry-run"], 2),
        Question("reconcile", "reconcile", ["reconcile"], 4),
        Question("refusal", "report of an unknown run", ["report", "0" * 32], 1, 2),
        Question("refusal_of_compare", "compare of one run", ["compare", first], 1, 2),
        Question(
            "refusal_of_sweep",
            "sweep where there is one",
            ["sweep", space, "--experiment", digits, "--output", "out/sweep"],
            1,
            2,
        ),
        Question("second_run", "run, all stages stored", again, 6),
    ]


def retraining() -> dict[str, object]:
    """Return a retraining whose gate promotes every candidate."""
    learning = {"training": {"epochs": 2}}
    return {
        "experiment": {
            "name": "answers",
            "teacher": {**learning, "refinement": {"epochs": 1}, "num_views": 1},
            "student": learning,
            "execution": {"kind": "in_process"},
        },
        "source": {"path": "arrivals", "settled_seconds": 0, "image_size": 8, "num_channels": 1},
        "gate": ANYTHING,
    }


def made(folder: Path, *arguments: str) -> str:
    """Run a command that trains, and return the id of its run."""
    output = arguments[arguments.index("--output") + 1]
    cpu_seconds([*orchestrator(), *arguments], folder, 0)
    summary = json.loads((folder / output / "summary.json").read_text(encoding="utf-8"))
    return str(summary.get("run_id") or summary.get("sweep_id"))


def orchestrator() -> list[str]:
    """Return the words that every command starts with."""
    return [sys.executable, "-m", "orchestrator"]


def cpu_seconds(command: list[str], folder: Path, exit_code: int) -> float:
    """Return the user and system seconds of a command and its children.

    Raises:
        RuntimeError: The exit code is not the expected one.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != exit_code:
        msg = f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
