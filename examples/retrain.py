"""Deliver images of some digits, retrain, deliver more, and retrain again.

.venv/bin/python examples/retrain.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator import RetrainingOutcome, load_retraining, retrain

ROOT = Path(__file__).parents[1]


def main(
    folder: Path = Path("out/examples"), overrides: Sequence[str] = ()
) -> list[RetrainingOutcome]:
    """Run a tick of the retraining after each delivery."""
    arrivals, outcomes = folder / "arrivals", []
    for digits in (["0", "1"], ["2", "3"]):
        deliver = [sys.executable, str(ROOT / "experiments" / "deliver_digits.py")]
        subprocess.run([*deliver, str(arrivals), *digits], check=True)  # noqa: S603 - our own script
        time.sleep(3)  # younger files may still be growing: source.settled_seconds
        settings = [f"source.path={arrivals}", *overrides]
        retraining = load_retraining(ROOT / "experiments" / "retraining_digits.yaml", settings)
        outcome = retrain(retraining, folder / "retrain")
        print(f"{outcome.outcome}: {outcome.reason}")
        outcomes.append(outcome)
    return outcomes


if __name__ == "__main__":
    main(overrides=sys.argv[1:])
