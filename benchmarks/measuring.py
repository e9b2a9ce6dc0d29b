"""What the benchmarks of stages and lanes share: a piece of work, a clock that listens to it, and
the closing line for machines.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.config import load_experiment
from orchestrator.config.roles import Role
from orchestrator.pipelines.run.execution import compute
from orchestrator.stages import Work, prepare_work
from orchestrator.stages.events import StageEvent, StageFinished, StageStarted

ROOT = Path(__file__).parents[1]
EXPERIMENT = ROOT / "experiments" / "digits.yaml"
SEARCH_SPACES = ROOT / "search_spaces"
CIFAR10 = (
    ROOT.parent / "shared" / "data" / "cifar10"
)  # a random subset as Parquet, beside the checkout
IN_PROCESS = ["execution.kind=in_process", "execution.device=cpu"]


class Clock:
    """Notes when each stage began and ended."""

    def __init__(self) -> None:
        """Starts now."""
        self.created = time.perf_counter()
        self.started: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.finished: dict[str, StageFinished] = {}

    def __call__(self, event: StageEvent) -> None:
        """Takes note of an event."""
        now = time.perf_counter()
        if isinstance(event, StageStarted):
            self.started[event.stage] = now
        elif isinstance(event, StageFinished):
            self.ended[event.stage] = now
            self.finished[event.stage] = event

    @property
    def startup_seconds(self) -> float:
        """From the beginning to the first stage."""
        return min(self.started.values()) - self.created

    def wall_seconds(self, role: Role | None = None) -> float:
        """From the first stage's begin to the last one's end; of one role, or of both."""
        names = [name for name in self.ended if role is None or name.startswith(role)]
        return max(self.ended[name] for name in names) - min(self.started[name] for name in names)

    @property
    def worker_seconds(self) -> float:
        """Spent by all workers in stages that were computed."""
        return sum(
            stage.seconds * stage.num_train_workers
            for stage in self.finished.values()
            if not stage.cached
        )

    def print_stages(self) -> None:
        """One line a role: how long each stage took."""
        for role in ("teacher", "student"):
            seconds = [
                f"{stage.seconds:5.1f}"
                for name, stage in self.finished.items()
                if name.startswith(role) and not stage.cached
            ]
            if seconds:
                print(f"    {role}: {' '.join(seconds)} s", flush=True)


def digits_work(
    store: str | Path, overrides: Sequence[str] = (), roles: Sequence[Role] = ("teacher", "student")
) -> Work:
    """experiments/digits.yaml with overrides, in a store of its own; only the stages of some
    roles.
    """
    work = prepare_work(load_experiment(EXPERIMENT, [*overrides, f"store.uri={store}"]))
    return replace(work, stages=[stage for stage in work.stages if stage.role in roles])


def timed(work: Work) -> Clock:
    """Computes the work; the clock has listened."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        compute(work, clock, Path(folder) / "ray.log")
    return clock


def print_figures(benchmark: str, **figures: object) -> None:
    """The last line of every benchmark, for machines."""
    rounded = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    print(json.dumps({"benchmark": benchmark, **rounded}), flush=True)
