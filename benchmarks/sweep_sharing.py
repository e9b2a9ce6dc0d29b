"""What it is worth that trials share stages: sixteen trials with one store for all against a store
for each.

    .venv/bin/python benchmarks/sweep_sharing.py            about 12 minutes on 2 cores
    .venv/bin/python benchmarks/sweep_sharing.py --quick    under 3 minutes

The trials are search_spaces/tssr_thresholds.yaml on digits, drawn at random so that both sides have
the same ones: the estimator's depend on which trial ends first. Such trials differ in their
students, so all can have one teacher. Both sides go through the same code, as many trials at once
as there are cores. Half of the trials without sharing are computed before those that share, half
after: a machine that slows down meanwhile slows both. Worker-seconds are what workers spend in
stages; waiting for a stage that another trial computes is not in them, and is told beside them as
what trials occupy. The theory takes the stages' times as measured without sharing.
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
    """Gives the trials of one side, and adds up what they cost
    (`tuning.trial_source.TrialSource`).
    """

    experiments: Sequence[Experiment]
    num_given: int = 0
    stages_computed: int = 0
    occupied_seconds: float = 0.0
    worker_seconds: dict[Role, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))

    def next_trial(self) -> TrialPlan | None:
        """The next trial in their order."""
        if self.num_given == len(self.experiments):
            return None
        self.num_given += 1
        return TrialPlan(self.num_given - 1, [self.experiments[self.num_given - 1]])

    def vary(self, number: int) -> TrialPlan:
        """Only population-based training asks for variations."""
        raise NotImplementedError

    def trial_started(self, number: int) -> None:
        """Nothing to note."""

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """Adds up what the task has cost."""
        self.stages_computed += report.stages_computed
        self.occupied_seconds += report.seconds
        for _, event in report.events:
            if event["event"] == "StageFinished" and not event["cached"]:
                role: Role = "teacher" if event["stage"].startswith("teacher") else "student"
                self.worker_seconds[role] += event["seconds"] * event["num_train_workers"]

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """Nothing may fail here."""
        if status is not TrialStatus.FINISHED:
            msg = f"trial {number} is {status}: {reason}"
            raise SystemExit(msg)

    def is_budget_spent(self) -> bool:
        """There is no budget."""
        return False

    def tick(self) -> None:
        """Nothing is shown meanwhile."""


def drawn(search_space: SearchSpace, num_trials: int, overrides: Sequence[str]) -> list[Experiment]:
    """The experiments of the first trials of a search space."""
    space = Space(search_space, load_experiment(EXPERIMENT, overrides))
    sampler = Sampler(space)
    configurations = [sampler.ask() for _ in range(num_trials)]
    return [
        space.experiment_of(configuration.parameters)
        for configuration in configurations
        if configuration is not None
    ]


def with_store(experiment: Experiment, store: Path) -> Experiment:
    """The same experiment, its stages kept elsewhere."""
    return experiment.model_copy(
        update={"store": experiment.store.model_copy(update={"uri": str(store)})}
    )


def computed(
    search_space: SearchSpace, experiments: Sequence[Experiment], log_file: Path
) -> Trials:
    """All trials are computed."""
    set_environment(trial_cluster(experiments[0].execution))
    from orchestrator.tuning.ray_tune import (  # noqa: PLC0415
        compute_trials,
    )

    trials = Trials(experiments)
    room = find_room(experiments[0].execution)
    compute_trials(search_space, prepare_work(experiments[0]), room, trials, log_file)
    return trials


def matrices(experiment: Experiment) -> list[Any]:
    """Every accuracy of a trial: of each stage, on each split, on each task."""
    work = prepare_work(experiment)
    return [(stage.name, work.evaluation_of(stage).rows) for stage in work.stages]


def print_side(name: str, sides: Sequence[Trials]) -> dict[Role, float]:
    """Shows what a side has cost, and returns it by role."""
    seconds = {role: sum(side.worker_seconds[role] for side in sides) for role in ROLES}
    print(
        f"{name:16} {sum(seconds.values()):7.1f} worker-seconds (teacher {seconds['teacher']:.1f},"
        f" student {seconds['student']:.1f}), {sum(side.stages_computed for side in sides):3}"
        f" stages computed, trials occupied {sum(side.occupied_seconds for side in sides):7.1f} s",
        flush=True,
    )
    return seconds


def main() -> None:
    """Measures both sides, and prints the ratio of their worker-seconds beside the theory's."""
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
