"""Measure what sharing stages saves: sixteen trials with one store against a store each.

    .venv/bin/python benchmarks/sweep_sharing.py            about 12 minutes on 2 cores
    .venv/bin/python benchmarks/sweep_sharing.py --quick    under 3 minutes

The trials are search_spaces/tssr_thresholds.yaml on digits. They are drawn at random so that both
sides have the same ones: an estimator's proposals depend on which trial ends first. These trials
differ only in their students, so all can share one teacher. Both sides use the same code and as
many parallel trials as there are cores. Half of the trials without sharing are computed before the
trials that share, half after, so that a slower machine slows both sides. Worker-seconds are the
time that workers spend in stages. They exclude waiting for a stage that another trial computes,
which is part of the occupied time printed next to them. The theory uses the stages' times measured
without sharing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import EXPERIMENT, SEARCH_SPACES, print_figures

from orchestrator.config import load_experiment, load_search_space
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.searchers import RandomSearchConfig
from orchestrator.distributed.environment import set_environment
from orchestrator.errors import OrchestratorError
from orchestrator.stages import prepare_work
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.share import find_room, trial_cluster
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial import TaskReport
from orchestrator.tuning.trial_source import TrialPlan
from orchestrator.tuning.trial_status import TrialStatus

# fewer epochs than by default, so that all sixteen pairs take some minutes; a teacher stage takes
# about as long as a student stage
WORKLOADS = {
    "full": (
        16,
        ["teacher.training.epochs=8", "teacher.refinement.epochs=4", "student.training.epochs=10"],
    ),
    "quick": (
        4,
        ["teacher.training.epochs=3", "teacher.refinement.epochs=2", "student.training.epochs=3"],
    ),
}


@dataclass
class Trials:
    """Source of one side's trials that adds up their cost (`tuning.trial_source.TrialSource`)."""

    experiments: Sequence[Experiment]
    num_given: int = 0
    stages_computed: int = 0
    occupied_seconds: float = 0.0
    worker_seconds: dict[Role, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))

    def next_trial(self) -> TrialPlan | None:
        """Return the next trial in order."""
        if self.num_given == len(self.experiments):
            return None
        self.num_given += 1
        return TrialPlan(self.num_given - 1, [self.experiments[self.num_given - 1]])

    def vary(self, number: int) -> TrialPlan:
        """Not called: only population-based training asks for variations."""
        raise NotImplementedError

    def trial_started(self, number: int) -> None:
        """Do nothing."""

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """Add the cost of a task."""
        self.stages_computed += report.stages_computed
        self.occupied_seconds += report.seconds
        for _, event in report.events:
            if event["event"] == "StageFinished" and not event["cached"]:
                role: Role = "teacher" if event["stage"].startswith("teacher") else "student"
                self.worker_seconds[role] += event["seconds"] * event["num_train_workers"]

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """Fail if a trial did not complete."""
        if status is not TrialStatus.FINISHED:
            msg = f"trial {number} is {status}: {reason}"
            raise SystemExit(msg)

    def is_budget_spent(self) -> bool:
        """Return False: there is no budget."""
        return False

    def tick(self) -> None:
        """Do nothing: no progress is shown."""


def drawn(search_space: SearchSpace, num_trials: int, overrides: Sequence[str]) -> list[Experiment]:
    """Return the experiments of the first trials of a search space."""
    space = Space(search_space, load_experiment(EXPERIMENT, overrides))
    sampler = Sampler(space)
    configurations = [sampler.ask() for _ in range(num_trials)]
    return [
        space.experiment_of(configuration.parameters)
        for configuration in configurations
        if configuration is not None
    ]


def with_store(experiment: Experiment, store: Path) -> Experiment:
    """Return the same experiment with another store."""
    return experiment.model_copy(
        update={"store": experiment.store.model_copy(update={"uri": str(store)})}
    )


def computed(
    search_space: SearchSpace, experiments: Sequence[Experiment], log_file: Path
) -> Trials:
    """Compute all trials."""
    set_environment(trial_cluster(experiments[0].execution))
    from orchestrator.tuning.ray_tune import (  # noqa: PLC0415
        compute_trials,
    )

    trials = Trials(experiments)
    room = find_room(experiments[0].execution)
    compute_trials(search_space, prepare_work(experiments[0]), room, trials, log_file)
    return trials


def matrices(experiment: Experiment) -> list[Any]:
    """Return every accuracy of a trial: of each stage, on each split, on each task."""
    work = prepare_work(experiment)
    return [(stage.name, work.evaluation_of(stage).rows) for stage in work.stages]


def print_side(name: str, sides: Sequence[Trials]) -> dict[Role, float]:
    """Print the cost of a side, and return it by role."""
    seconds = {role: sum(side.worker_seconds[role] for side in sides) for role in ROLES}
    print(
        f"{name:16} {sum(seconds.values()):7.1f} worker-seconds (teacher {seconds['teacher']:.1f},"
        f" student {seconds['student']:.1f}), {sum(side.stages_computed for side in sides):3}"
        f" stages computed, trials occupied {sum(side.occupied_seconds for side in sides):7.1f} s",
        flush=True,
    )
    return seconds


def main() -> None:
    """Measure both sides, and print the ratio of their worker-seconds and the theoretical one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 trials, fewer epochs")
    num_trials, overrides = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    search_space = load_search_space(SEARCH_SPACES / "tssr_thresholds.yaml").model_copy(
        update={"searcher": RandomSearchConfig()}
    )
    experiments = drawn(search_space, num_trials, overrides)
    with tempfile.TemporaryDirectory() as scratch:
        alone = [
            with_store(experiment, Path(scratch) / f"store-{number}")
            for number, experiment in enumerate(experiments)
        ]
        together = [with_store(experiment, Path(scratch) / "store") for experiment in experiments]
        half, log_file = num_trials // 2, Path(scratch) / "ray.log"
        before = computed(search_space, alone[:half], log_file)
        sharing = computed(search_space, together, log_file)
        after = computed(search_space, alone[half:], log_file)
        num_equal = sum(
            matrices(one) == matrices(other) for one, other in zip(alone, together, strict=True)
        )
    reference, ours = (
        print_side("a store for each", [before, after]),
        print_side("one for all", [sharing]),
    )
    teacher, student = (reference[role] / num_trials for role in ROLES)
    theory = (teacher + student) * num_trials / (teacher + num_trials * student)
    ratio = sum(reference.values()) / sum(ours.values())
    occupied = (before.occupied_seconds + after.occupied_seconds) / sharing.occupied_seconds
    print(
        f"\nT_teacher {teacher:.2f} s, T_student {student:.2f} s: ratio {ratio:.3f} of {theory:.3f}"
        f" in theory ({ratio / theory:.1%})"
    )
    print(
        f"{num_equal} of {num_trials} trials have equal accuracies on both sides, on every task and"
        " split, to the last digit"
    )
    print_figures(
        "sweep_sharing",
        worker_seconds_ratio=ratio,
        theoretical_ratio=theory,
        share_of_theory=ratio / theory,
        occupied_ratio=occupied,
        trials=num_trials,
        equal=num_equal,
        stages_without=before.stages_computed + after.stages_computed,
        stages_with=sharing.stages_computed,
    )


if __name__ == "__main__":
    main()
