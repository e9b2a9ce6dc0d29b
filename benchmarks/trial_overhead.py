"""Measure the overhead of a trial: a sweep against Ray's documented pattern, one trial at a time.

    .venv/bin/python benchmarks/trial_overhead.py            about 8 minutes on 2 cores
    .venv/bin/python benchmarks/trial_overhead.py --quick    under 3 minutes

The documented pattern is a function trainable of Ray Tune that launches a `TorchTrainer` of one
worker for its trial; the trainer forwards its reports with `TuneReportCallback`. Both sides compute
the same very cheap stages with one thread, on the same kind of cluster; no two trials share a
stage. Overhead is wall time from the first trial's start to the last one's end, less the time that
workers spend in stages, divided by the number of trials. Our side is a whole sweep with sampler,
ledger, and an MLflow run for each trial; the pattern has none of these.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import EXPERIMENT, print_figures

from orchestrator.config import SearchSpace, load_experiment
from orchestrator.config.experiment import Experiment
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.sweep import sweep
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.share import trial_cluster
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial_status import TrialStatus

CHEAP = [
    "scenario.max_images_per_class=10",
    "teacher.training.epochs=1",
    "teacher.refinement.epochs=1",
    "teacher.num_views=0",
    "teacher.augmentation.num_steps=1",
    "student.training.epochs=1",
]
WORKLOADS = {"full": (24, 12), "quick": (6, 2)}


@dataclass
class Span:
    """The time from the first trial's start to the last one's end."""

    first: float = 0.0
    last: float = 0.0

    def started(self) -> None:
        """Record that a trial starts."""
        self.first = self.first or time.perf_counter()

    def ended(self) -> None:
        """Record that a trial ends."""
        self.last = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the span's length."""
        return self.last - self.first


class Clock(SilentSweepListener):
    """Listener that records when the trials of a sweep start and end, and the time of their
    stages.
    """

    def __init__(self) -> None:
        """Start without events."""
        self.span = Span()
        self.stage_seconds = 0.0

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Record a change of a trial."""
        if trial.status is TrialStatus.RUNNING:
            self.span.started()
            return
        self.span.ended()
        self.stage_seconds += trial.worker_seconds
        if trial.status is not TrialStatus.FINISHED or trial.stages_cached:
            msg = (
                f"trial {trial.number} is {trial.status}, {trial.stages_cached} stages were stored:"
                f" {trial.reason}"
            )
            raise SystemExit(msg)


def search_space_of(num_trials: int) -> SearchSpace:
    """Return a search space in which every trial has its own teacher, from the first stage on."""
    values = {
        "name": "trial overhead",
        "parameters": {
            "teacher.training.learning_rate": {"kind": "log_uniform", "low": 0.0005, "high": 0.002}
        },
        "searcher": {"kind": "random"},
        "num_trials": num_trials,
        "max_concurrent_trials": 1,
    }
    return SearchSpace.model_validate(values)


def digits(folder: Path, name: str) -> Experiment:
    """Return an experiment of cheap stages with its own store and MLflow database."""
    places = [f"store.uri={folder / name / 'store'}", f"tracking.uri=sqlite:///{folder}/{name}.db"]
    return load_experiment(EXPERIMENT, [*CHEAP, *places])


# --- the documented pattern -----------------------------------------------------------------------


def learn(config: dict[str, Any]) -> None:
    """Train all stages of a trial on the worker, and report after each task."""
    import torch  # noqa: PLC0415 - only the worker needs it
    from ray import train  # noqa: PLC0415

    from orchestrator.stages import StageRunner, prepare_work  # noqa: PLC0415
    from orchestrator.stages.events import StageEvent, StageFinished  # noqa: PLC0415

    seconds = 0.0

    def add(event: StageEvent) -> None:
        nonlocal seconds
        seconds += event.seconds if isinstance(event, StageFinished) else 0.0

    torch.set_num_threads(1)
    work = prepare_work(Experiment.model_validate(config["experiment"]))
    runner = StageRunner(work, torch.device("cpu"), add)
    for task in range(len(work.scenario.tasks)):
        for stage in work.stages:
            if stage.task.index == task:
                runner.obtain(stage)
        train.report({"tasks_learned": task + 1, "stage_seconds": seconds})


def launch(config: dict[str, Any]) -> None:
    """Launch a trainer for the trial."""
    from ray import train  # noqa: PLC0415 - as above
    from ray.train.torch import TorchTrainer  # noqa: PLC0415
    from ray.tune.integration.ray_train import TuneReportCallback  # noqa: PLC0415

    TorchTrainer(
        learn,
        train_loop_config=config["trial"],
        scaling_config=train.ScalingConfig(num_workers=1),
        run_config=train.RunConfig(
            callbacks=[TuneReportCallback()], storage_path=config["trial"]["folder"]
        ),
    ).fit()


def nested(experiments: Sequence[Experiment], folder: Path) -> tuple[Span, float]:
    """Run all trials in the documented way; return their span and the seconds of their stages."""
    from ray import tune  # noqa: PLC0415 - as above

    from orchestrator.distributed.cluster import cluster  # noqa: PLC0415

    span = Span()

    class Watch(tune.Callback):  # type: ignore[misc] # Ray is not typed here
        def on_trial_start(
            self, iteration: int, trials: list[Any], trial: object, **info: object
        ) -> None:
            span.started()

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: object, **info: object
        ) -> None:
            span.ended()

    configs = [
        {"experiment": experiment.model_dump(mode="json"), "folder": str(folder / "train")}
        for experiment in experiments
    ]
    with cluster(trial_cluster(experiments[0].execution), folder / "ray.log"):
        results = tune.Tuner(
            launch,
            param_space={"trial": tune.grid_search(configs)},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(
                storage_path=str(folder / "tune"), callbacks=[Watch()], verbose=0
            ),
        ).fit()
    for result in results:
        if result.error is not None:
            raise SystemExit(str(result.error))
    return span, sum(result.metrics["stage_seconds"] for result in results)


def print_side(name: str, span: Span, stage_seconds: float, num_trials: int) -> float:
    """Print a side, and return its overhead per trial."""
    overhead = (span.seconds - stage_seconds) / num_trials
    print(
        f"{name:20} {num_trials:3} trials in {span.seconds:6.1f} s, {stage_seconds:6.1f} s of them"
        f" in stages: {overhead:6.2f} s of overhead per trial",
        flush=True,
    )
    return overhead


def main() -> None:
    """Measure both sides, and print the ratio of their overheads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    num_ours, num_nested = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    with tempfile.TemporaryDirectory() as scratch:
        folder, clock = Path(scratch), Clock()
        search_space = search_space_of(num_ours)
        sweep(search_space, digits(folder, "ours"), folder / "out", listener=clock)
        ours = print_side("a sweep", clock.span, clock.stage_seconds, num_ours)

        space = Space(search_space, digits(folder, "nested"))
        sampler = Sampler(space)
        configurations = [
            configuration
            for configuration in (sampler.ask() for _ in range(num_nested))
            if configuration
        ]
        span, stage_seconds = nested(
            [space.experiment_of(configuration.parameters) for configuration in configurations],
            folder,
        )
        reference = print_side("a trainer per trial", span, stage_seconds, num_nested)
    print(
        f"\nthe overhead of a trial is {reference / ours:.1f} times smaller than with a trainer"
        " of its own"
    )
    print_figures(
        "trial_overhead",
        seconds_per_trial=ours,
        nested_ratio=reference / ours,
        nested_seconds_per_trial=reference,
    )


if __name__ == "__main__":
    main()
