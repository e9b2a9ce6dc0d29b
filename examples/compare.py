"""Learn the same tasks with two methods, and compare accuracy and forgetting.

.venv/bin/python examples/compare.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator import load_experiment, run

ROOT = Path(__file__).parents[1]
METHODS = ("analytic", "nearest_class_mean")


def main(
    folder: Path = Path("out/examples"), overrides: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Run each method; they share whatever stages they have in common."""
    students = {}
    for method in METHODS:
        settings = [f"method.kind={method}", *overrides]
        experiment = load_experiment(ROOT / "experiments" / "digits.yaml", settings)
        result = run(experiment, folder / "compare" / method)
        students[method] = result.summary["student"]
    for method, student in students.items():
        print(
            f"{method:20} last accuracy {student['last_accuracy']:.3f}, forgetting"
            f" {student['forgetting']:.3f}"
        )
    return students


if __name__ == "__main__":
    main(overrides=sys.argv[1:])
