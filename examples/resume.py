"""Sweep one trial, then go on with a second one; what is done is not computed again.

.venv/bin/python examples/resume.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator import SweepResult, load_experiment, load_search_space, sweep

ROOT = Path(__file__).parents[1]


def main(folder: Path = Path("out/examples"), overrides: Sequence[str] = ()) -> SweepResult:
    """Run a sweep twice, the second time with more trials."""
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml", overrides)
    file = ROOT / "search_spaces" / "smoke.yaml"
    sweep(load_search_space(file, 1), experiment, folder / "resume", resume=None)
    # after a crash, Ctrl-C or a spent budget it is the same call
    result = sweep(load_search_space(file, 2), experiment, folder / "resume", resume=True)
    print(result.trials[["trial", "status", "stages_computed", "stages_cached", "seconds"]])
    return result


if __name__ == "__main__":
    main(overrides=sys.argv[1:])
