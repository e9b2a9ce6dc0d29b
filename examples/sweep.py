"""Sweep the student's temperature and transfer rule, with progress, and read the trials as a table.

.venv/bin/python examples/sweep.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator import SweepResult, load_experiment, load_search_space, sweep, sweep_listener

ROOT = Path(__file__).parents[1]


def main(folder: Path = Path("out/examples"), overrides: Sequence[str] = ()) -> SweepResult:
    """Run the sweep that asks whether sweeps work here: three short trials."""
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml", overrides)
    space = load_search_space(ROOT / "search_spaces" / "smoke.yaml")
    listener = sweep_listener(experiment.tracking.uri)
    try:
        result = sweep(space, experiment, folder / "sweep", resume=None, listener=listener)
    finally:
        listener.close()
    print(result.trials[["trial", "status", "student.temperature", "seconds"]])
    if result.best is not None:
        print(f"best: trial {result.best.number} with {result.best.value:.3f}")
    return result


if __name__ == "__main__":
    main(overrides=sys.argv[1:])
