"""Compare the Pareto front of a sweep with several objectives with that of as many random trials.

    .venv/bin/python benchmarks/pareto.py                       digits and photographs, three seeds
    .venv/bin/python benchmarks/pareto.py --quick               digits, 12 trials, under 5 minutes
    .venv/bin/python benchmarks/pareto.py --store /tmp/photo_stages     with tables of features

Digits: three student architectures and their training settings, for accuracy, parameters and
forgetting. Photographs: cifar10_pretrained.yaml on the CIFAR-10 subset in ../shared/data; its
student inherits the teacher's stages up to a cut, is computed from stored features, and is not
taught. Both searches propose and train trials as a sweep does, one after another in this process,
without Ray and MLflow. All trials share one store, so a configuration that both searches try is
trained once.

The hypervolume is Optuna's, of the losses 1 − accuracy, logarithm of the parameters, and
forgetting. Its reference point is the worst value of each loss among all trials of the workload.
The ratio is the sweep's hypervolume ÷ that of the random trials, above 1 where the sweep is better;
for several seeds, the mean.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CIFAR10, EXPERIMENT, IN_PROCESS, ROOT, print_figures
from optuna._hypervolume import compute_hypervolume  # Optuna's public API offers only a chart

from orchestrator.config import SearchSpace, load_experiment
from orchestrator.config.experiment import Experiment
from orchestrator.stages import Preparation
from orchestrator.stages.claims import NoClaims
from orchestrator.stages.costs_ahead import CostsAhead
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.share import TrialShare
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial import TrialInProcess

ACCURACY, PARAMETERS, FORGETTING = METRICS = (
    "student/last_accuracy",
    "student/num_parameters",
    "student/forgetting",
)
OBJECTIVES = {ACCURACY: "max", PARAMETERS: "min", FORGETTING: "min"}
DIGITS = [
    "scenario.class_order=[0, 1, 2, 3, 4, 5]",
    "scenario.max_images_per_class=40",
    "data.validation_fraction=0.3",
    "teacher.training.epochs=5",
    "teacher.refinement.epochs=0",
    "teacher.num_views=0",
]
DIGITS_SPACE = {
    "student.backbone.kind": {
        "kind": "choice",
        "values": ["small_cnn_tiny", "small_cnn", "resnet20"],
    },
    "student.training.epochs": {"kind": "int_uniform", "low": 2, "high": 8},
    "student.consolidation": {"kind": "uniform", "low": 0.3, "high": 1},
    "student.stability_weight": {"kind": "log_uniform", "low": 0.5, "high": 20},
}
PHOTOGRAPHS = [
    f"data.train={CIFAR10 / 'train.parquet'}",
    f"data.test={CIFAR10 / 'test.parquet'}",
    "data.validation_fraction=0.5",
    "student.teaching=null",
]
PHOTOGRAPHS_SPACE = {
    "student.backbone.until": {
        "kind": "choice",
        "values": [f"stage{number}" for number in range(1, 8)],
    },
    "student.classifier_shrinkage": {"kind": "log_uniform", "low": 0.001, "high": 0.5},
    "student.temperature": {"kind": "log_uniform", "low": 0.5, "high": 4},
}
SEARCHERS: dict[str, dict[str, Any]] = {
    "sweep": {"kind": "optuna", "num_startup_trials": 8},
    "random": {"kind": "random"},
}


@dataclass(frozen=True)
class Workload:
    """An experiment and its search space."""

    file: Path
    overrides: Sequence[str]
    parameters: Mapping[str, Any]

    def values(self, searcher: str, sampler: str, seed: int, trials: int, store: Path) -> list[Any]:
        """Run one search, and return the objectives of each trial."""
        experiment = load_experiment(
            self.file, [*self.overrides, *IN_PROCESS, f"store.uri={store}"]
        )
        chosen = SEARCHERS[searcher] | ({"sampler": sampler} if searcher == "sweep" else {})
        search_space = SearchSpace.model_validate(
            {
                "name": "pareto",
                "metrics": OBJECTIVES,
                "parameters": self.parameters,
                "searcher": {**chosen, "seed": seed},
                "num_trials": trials,
            }
        )
        return searched(search_space, experiment)


WORKLOADS = {
    "digits": Workload(EXPERIMENT, DIGITS, DIGITS_SPACE),
    "photographs": Workload(
        ROOT / "experiments" / "cifar10_pretrained.yaml", PHOTOGRAPHS, PHOTOGRAPHS_SPACE
    ),
}


def searched(search_space: SearchSpace, experiment: Experiment) -> list[dict[str, float]]:
    """Train the trials of a search space one after another; return their objectives."""
    preparation = Preparation()
    space = Space(search_space, experiment, CostsAhead(preparation).of)
    sampler, share = Sampler(space), TrialShare.of(experiment.execution)
    found = []
    for number in range(search_space.num_trials or 0):
        configuration = sampler.ask(number)
        assert configuration is not None  # noqa: S101 - only a grid ends
        objective = Objective.of(search_space).knowing(space.known_of(configuration.parameters))
        experiments = space.experiments_of(configuration.parameters)
        trial = TrialInProcess(experiments, objective, share, NoClaims(), preparation)
        report = trial.learn_next_task()
        while not report.is_last:
            report = trial.learn_next_task()
        sampler.tell(configuration, [report.values[name] for name in METRICS])
        found.append(dict(report.values))
    return found


def losses(values: Sequence[Mapping[str, float]]) -> np.ndarray[Any, Any]:
    """Return the values to minimise, one row per trial."""
    return np.array(
        [[1 - one[ACCURACY], math.log10(one[PARAMETERS]), one[FORGETTING]] for one in values]
    )


def compared(
    name: str, sampler: str, seeds: Sequence[int], num_trials: int, store: Path
) -> list[float]:
    """Run both searches with each seed; return the ratio of hypervolumes of each seed."""
    found: dict[tuple[str, int], np.ndarray[Any, Any]] = {}
    for seed in seeds:
        for searcher in SEARCHERS:
            started = time.perf_counter()
            values = WORKLOADS[name].values(searcher, sampler, seed, num_trials, store)
            found[searcher, seed] = losses(values)
            best = max(one[ACCURACY] for one in values)
            print(
                f"  {name}, seed {seed}, {searcher}: {num_trials} trials in"
                f" {time.perf_counter() - started:.0f} s, best accuracy {best:.4f}",
                flush=True,
            )
    worst = np.max(np.vstack([*found.values()]), axis=0)
    ratios = []
    for seed in seeds:
        ours, reference = (
            float(compute_hypervolume(found[searcher, seed], worst)) for searcher in SEARCHERS
        )
        ratios.append(ours / reference)
        print(
            f"  {name}, seed {seed}: hypervolume {ours:.4f} of the sweep, {reference:.4f} of random"
            f" trials: ratio {ratios[-1]:.3f}",
            flush=True,
        )
    return ratios


def main() -> None:
    """Compare both searches on each workload, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="digits, one seed, 12 trials")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=24, metavar="N", help="trials of each search")
    parser.add_argument("--sampler", choices=["gp", "tpe", "nsga2"], default="gp")
    parser.add_argument(
        "--store", type=Path, help="store to reuse; its stages are not recomputed; default: none"
    )
    arguments = parser.parse_args()
    names, seeds, num_trials = arguments.workloads, arguments.seeds, arguments.trials
    if arguments.quick:
        names, seeds, num_trials = ["digits"], [0], 12
    with tempfile.TemporaryDirectory(prefix="pareto-") as scratch:
        store = (arguments.store or Path(scratch)).absolute()
        ratios = {
            name: compared(name, arguments.sampler, seeds, num_trials, store) for name in names
        }
    print_figures(
        "pareto",
        hypervolume_ratio=statistics.mean(ratios[names[0]]),
        sampler=arguments.sampler,
        trials=num_trials,
        ratios={name: [round(one, 4) for one in each] for name, each in ratios.items()},
    )


if __name__ == "__main__":
    main()
