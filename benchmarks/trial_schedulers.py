"""Measure what stopping the worse trials early saves and costs: a sweep with ASHA against the same
sweep without.

    .venv/bin/python benchmarks/trial_schedulers.py            about 12 minutes on 2 cores
    .venv/bin/python benchmarks/trial_schedulers.py --quick    under 3 minutes

Both sweeps are search_spaces/everything.yaml on digits with fewer epochs, each with its own store.
Trials are drawn at random, so that both sweeps have the same configurations under the same numbers.
ASHA's rungs are tasks. The leader after two tasks need not lead after five; the difference of the
best objectives shows what that costs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from measuring import EXPERIMENT, SEARCH_SPACES, print_figures

from orchestrator.config import load_experiment, load_search_space
from orchestrator.config.searchers import RandomSearchConfig
from orchestrator.config.trial_schedulers import (
    AshaConfig,
    NoTrialSchedulerConfig,
    TrialSchedulerConfig,
)
from orchestrator.pipelines.sweep.sweep import sweep

WORKLOADS = {
    "full": (
        24,
        ["teacher.training.epochs=8", "teacher.refinement.epochs=4", "student.training.epochs=10"],
    ),
    "quick": (
        4,
        [
            "teacher.training.epochs=2",
            "teacher.refinement.epochs=1",
            "student.training.epochs=2",
            "teacher.num_views=2",
        ],
    ),
}


def swept(
    trial_scheduler: TrialSchedulerConfig, num_trials: int, overrides: list[str], folder: Path
) -> dict[str, Any]:
    """Run the sweep, and return its summary."""
    update = {
        "searcher": RandomSearchConfig(),
        "trial_scheduler": trial_scheduler,
        "num_trials": num_trials,
    }
    search_space = load_search_space(SEARCH_SPACES / "everything.yaml").model_copy(update=update)
    places = [f"store.uri={folder / 'store'}", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    folder.mkdir()
    summary = sweep(
        search_space, load_experiment(EXPERIMENT, [*overrides, *places]), folder / "out"
    ).summary
    tasks = [len(trial["curve"]) for trial in summary["trials"]]
    statuses = [trial["status"] for trial in summary["trials"]]
    print(
        f"{trial_scheduler.kind:5} {summary['worker_seconds']:7.1f} worker-seconds,"
        f" {summary['wall_seconds']:6.1f} s of wall clock, {sum(tasks):3} tasks learned,"
        f" {statuses.count('stopped')} of {num_trials} trials stopped, best"
        f" {summary['best']['value']:.4f} (trial {summary['best']['trial']})",
        flush=True,
    )
    return summary


def main() -> None:
    """Sweep with and without ASHA, and print the saving."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 trials, fewer epochs")
    num_trials, overrides = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    with tempfile.TemporaryDirectory() as scratch:
        reference = swept(NoTrialSchedulerConfig(), num_trials, overrides, Path(scratch) / "none")
        ours = swept(AshaConfig(), num_trials, overrides, Path(scratch) / "asha")
    parameters = [
        {trial["trial"]: trial["parameters"] for trial in summary["trials"]}
        for summary in (reference, ours)
    ]
    if parameters[0] != parameters[1]:
        raise SystemExit("the two sweeps have not had the same trials")
    ratio = reference["worker_seconds"] / ours["worker_seconds"]
    tasks = [
        sum(len(trial["curve"]) for trial in summary["trials"]) for summary in (reference, ours)
    ]
    difference = reference["best"]["value"] - ours["best"]["value"]
    print(
        f"\nASHA saves {1 - 1 / ratio:.0%} of the worker-seconds; best objective without minus"
        f" with: {difference:+.4f}"
    )
    print_figures(
        "trial_schedulers",
        worker_seconds_ratio=ratio,
        tasks_ratio=tasks[0] / tasks[1],
        objective_difference=difference,
        trials=num_trials,
        stopped=sum(trial["status"] == "stopped" for trial in ours["trials"]),
        is_same_best=reference["best"]["trial"] == ours["best"]["trial"],
    )


if __name__ == "__main__":
    main()
