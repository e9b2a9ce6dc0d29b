"""Search for students that are accurate, small and forget little, and choose one of the front.

.venv/bin/python examples/pareto.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator import SweepResult, load_experiment, load_search_space, sweep

ROOT = Path(__file__).parents[1]


def main(
    folder: Path = Path("out/examples"), overrides: Sequence[str] = (), num_trials: int = 8
) -> SweepResult:
    """Run a sweep with several objectives."""
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml", overrides)
    space = load_search_space(ROOT / "search_spaces" / "accuracy_and_size.yaml", num_trials)
    result = sweep(space, experiment, folder / "pareto", resume=None)
    for trial in result.front:
        print(f"front: trial {trial.number} {trial.values}")
    if result.best is not None:  # what `choose` in the search space selects
        print(f"chosen: trial {result.best.number}, in {result.output_dir / 'best.yaml'}")
    print(f"Optuna's front: {[trial.values for trial in result.study.best_trials]}")
    return result


if __name__ == "__main__":
    main(overrides=sys.argv[1:])
