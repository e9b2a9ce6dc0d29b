"""Shared parts of the benchmarks of stages and lanes: workload, clock, and closing JSON line."""

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
)  # a random subset as Parquet, in a folder next to the checkout
IN_PROCESS = ["execution.kind=in_process", "execution.device=cpu"]


class Clock:
    """Clock that records the start and end of each stage."""

    def __init__(self) -> None:
        """Start the clock."""
        self.created = time.perf_counter()
        self.started: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.finished: dict[str, StageFinished] = {}

    def __call__(self, event: StageEvent) -> None:
        """Record an event."""
        now = time.perf_counter()
        if isinstance(event, StageStarted):
            self.started[event.stage] = now
        elif isinstance(event, StageFinished):
            self.ended[event.stage] = now
            self.finished[event.stage] = event

    @property
    def startup_seconds(self) -> float:
        """Return the seconds from the start of the clock to the first stage."""
        return min(self.started.values()) - self.created

    def wall_seconds(self, role: Role | None = None) -> float:
        """Return the seconds from the first stage's start to the last one's end; of one role, or of
        both.
        """
        names = [name for name in self.ended if role is None or name.startswith(role)]
        return max(self.ended[name] for name in names) - min(self.started[name] for name in names)

    @property
    def worker_seconds(self) -> float:
        """Return the seconds that all workers spent in computed stages."""
        return sum(
            stage.seconds * stage.num_train_workers
            for stage in self.finished.values()
            if not stage.cached
        )

    def print_stages(self) -> None:
        """Print the seconds of each stage, one line per role."""
        for role in ("teacher", "student"):
            seconds = [
                f"{stage.seconds:5.1f}"
                for name, stage in self.finished.items()
                if name.startswith(role) and not stage.cached
            ]
            if seconds:
                print(f"    {role}: {' '.join(seconds)} s", flush=True)


class PeakMemory:
    """Largest resident set of this process, of a part of its work and of all (Linux).

    Attributes:
        of_all: Largest so far, in MB.
    """

    def __init__(self) -> None:
        """Count from the start of the process."""
        self.of_all = 0.0

    def take(self) -> float:
        """Return the largest since the previous call, in MB."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak
        megabytes = int(peak) * 1024 / 1e6
        self.of_all = max(self.of_all, megabytes)
        return megabytes


def digits_work(
    store: str | Path, overrides: Sequence[str] = (), roles: Sequence[Role] = ("teacher", "student")
) -> Work:
    """Return the work of experiments/digits.yaml with overrides and its own store, for some
    roles.
    """
    work = prepare_work(load_experiment(EXPERIMENT, [*overrides, f"store.uri={store}"]))
    return replace(work, stages=[stage for stage in work.stages if stage.role in roles])


def timed(work: Work) -> Clock:
    """Compute the work, and return the clock that measured it."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        compute(work, clock, Path(folder) / "ray.log")
    return clock


def print_figures(benchmark: str, **figures: object) -> None:
    """Print the closing JSON line of a benchmark."""
    rounded = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    print(json.dumps({"benchmark": benchmark, **rounded}), flush=True)
