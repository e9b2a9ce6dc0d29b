"""Measure how often a retraining's gate is wrong, and how often it reaches no verdict.

    .venv/bin/python benchmarks/gate.py            digits and CIFAR-10
    .venv/bin/python benchmarks/gate.py --quick    digits only, fewer draws

Predictions are real, verdicts are simulated. Two seeds of an experiment are trained and predict all
test images. A draw samples the held-out images of a tick with replacement, and swaps the two seeds'
predictions on a random half of them. Champion and candidate are then equal by construction, and
differ as two real models do. For a candidate that is worse by twice the margin, correct predictions
are turned into wrong ones. The gate judges the draw as in a tick, with `inconclusive: hold`. The
former gate, which compared two accuracies with a fixed tolerance, judges the same draws. CIFAR-10
is included if ../shared/data has its subset.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measuring import CIFAR10, IN_PROCESS, ROOT, print_figures

from orchestrator.config import load_experiment
from orchestrator.config.gate import GateConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Split
from orchestrator.models.network import predict
from orchestrator.pipelines.run.run import run
from orchestrator.retraining.evidence import Evidence, KnownTasks, Predictions
from orchestrator.retraining.gate import Verdict, decide
from orchestrator.tracking import NullTracker

Answers = npt.NDArray[np.int64]
SIZES = (50, 100, 200, 500, 1000, 2000)
GATE = GateConfig(inconclusive="hold", min_agreement=0)
CASES: dict[str, tuple[str, list[str]]] = {
    "digits": (
        "digits.yaml",
        ["teacher.training.epochs=10", "student.training.epochs=15", "student.rehearsal=0"],
    ),
    "CIFAR-10": (
        "cifar10_pretrained.yaml",
        [
            f"data.train={CIFAR10 / 'train.parquet'}",
            f"data.test={CIFAR10 / 'test.parquet'}",
            "scenario.max_images_per_class=100",
            "student.teaching=null",
        ],
    ),
}


@dataclass(frozen=True)
class Pool:
    """Predictions of two seeds for the same test images.

    Attributes:
        labels: True classes.
        tasks: Classes of each task.
        answers: Predictions of both seeds, by role.
    """

    labels: Answers
    tasks: Sequence[range]
    answers: Mapping[Role, tuple[Answers, Answers]]


def learned_answers(name: str, folder: Path) -> Pool:
    """Train two seeds of a case, and return their predictions."""
    file, overrides = CASES[name]
    results = []
    for seed in (0, 1):
        own = [*IN_PROCESS, *overrides, f"store.uri={folder / 'store'}", f"seed={seed}"]
        experiment = load_experiment(ROOT / "experiments" / file, own)
        results.append(run(experiment, folder / f"{name} {seed}", tracker=NullTracker()))
    scenario = results[0].work.scenario
    images = scenario.images_of(Split.TEST, range(len(scenario.class_names)))
    found: dict[Role, tuple[Answers, Answers]] = {}
    for role in ROLES:
        first, second = (
            predict(result.models[role].network, images.images).argmax(dim=1).numpy()
            for result in results
        )
        found[role] = (first, second)
    return Pool(images.labels.numpy(), [task.new_classes for task in scenario.tasks], found)


def draw(pool: Pool, size: int, worse: float, random: np.random.Generator) -> Evidence:
    """Return the evidence of one simulated tick.

    Args:
        pool: Predictions of both seeds.
        size: Number of held-out images.
        worse: Loss of the candidate's true accuracy, in [0, 1].
        random: Generator for images and swaps.
    """
    rows = random.integers(len(pool.labels), size=size)
    labels = pool.labels[rows]
    num_classes = pool.tasks[-1].stop
    predictions = {}
    for role, (first, second) in pool.answers.items():
        exchange = random.random(size) < 0.5
        champion = np.where(exchange, first[rows], second[rows])
        candidate = np.where(exchange, second[rows], first[rows])
        accuracy = np.mean([np.mean(it == pool.labels) for it in (first, second)])
        spoiled = (candidate == labels) & (random.random(size) < worse / accuracy)
        candidate = np.where(spoiled, (labels + 1) % num_classes, candidate)
        predictions[role] = Predictions(candidate, candidate, champion)
    known = KnownTasks(
        [str(label) for label in range(num_classes)], pool.tasks, dict.fromkeys(ROLES, 0.0)
    )
    return Evidence(labels, num_classes, known, predictions, 1, 1.0)


def former_verdict(evidence: Evidence) -> Verdict:
    """Return the former gate's verdict, which compared accuracies with a tolerance."""
    for role in ROLES:
        own, labels = evidence.predictions[role], evidence.labels
        accuracies = [
            np.mean([np.mean(answers[labels == label] == label) for label in np.unique(labels)])
            for answers in (own.among_all, own.champion)
        ]
        if accuracies[0] < accuracies[1] - GATE.margin:
            return Verdict.REJECT
    return Verdict.PROMOTE


def verdicts(
    pool: Pool, size: int, worse: float, num_draws: int
) -> dict[str, dict[Verdict, float]]:
    """Return the shares of the verdicts, of the gate and of the former gate."""
    random = np.random.default_rng([size, round(1000 * worse)])
    counts: dict[str, Counter[Verdict]] = {"now": Counter(), "before": Counter()}
    for _ in range(num_draws):
        evidence = draw(pool, size, worse, random)
        counts["now"][decide(evidence, GATE).verdict] += 1
        counts["before"][former_verdict(evidence)] += 1
    return {
        which: {verdict: count[verdict] / num_draws for verdict in Verdict}
        for which, count in counts.items()
    }


@dataclass(frozen=True)
class Errors:
    """Shares of wrong verdicts; the maximum over all sizes."""

    rejected_equal: float = 0.0
    promoted_worse: float = 0.0

    def with_worst(self, rejected_equal: float, promoted_worse: float) -> Errors:
        """Return the maxima of the old and the new shares."""
        return replace(
            self,
            rejected_equal=max(self.rejected_equal, rejected_equal),
            promoted_worse=max(self.promoted_worse, promoted_worse),
        )


def main() -> None:
    """Simulate the verdicts, and print a table of each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="digits only, fewer draws")
    parser.add_argument("--draws", type=int, default=None, help="simulated ticks of each row")
    arguments = parser.parse_args()
    num_draws = arguments.draws or (200 if arguments.quick else 1000)
    names = [name for name in CASES if name == "digits" or not arguments.quick]
    errors = {"now": Errors(), "before": Errors()}
    undecided = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            pool = learned_answers(name, Path(folder))
        print(
            f"\n### {name}: margin {GATE.margin:.0%}, confidence {GATE.confidence:.0%},"
            f" {num_draws} draws a row\n\n"
            "| held-out images | equal: promoted / rejected / undecided | before: rejected"
            " | worse by twice the margin: promoted / rejected / undecided | before: promoted |\n"
            "|---|---|---|---|---|"
        )
        for size in SIZES:
            equal = verdicts(pool, size, 0, num_draws)
            worse = verdicts(pool, size, 2 * GATE.margin, num_draws)
            for which, own in errors.items():
                errors[which] = own.with_worst(
                    equal[which][Verdict.REJECT], worse[which][Verdict.PROMOTE]
                )
            undecided.append(equal["now"][Verdict.HOLD])
            shown = [
                " / ".join(f"{of[Verdict(it)]:.1%}" for it in ("promote", "reject", "hold"))
                for of in (equal["now"], worse["now"])
            ]
            print(
                f"| {size:,} | {shown[0]} | {equal['before'][Verdict.REJECT]:.1%}"
                f" | {shown[1]} | {worse['before'][Verdict.PROMOTE]:.1%} |",
                flush=True,
            )
    print_figures(
        "gate",
        false_rejections=errors["now"].rejected_equal,
        false_promotions=errors["now"].promoted_worse,
        undecided=float(np.mean(undecided)),
        false_rejections_before=errors["before"].rejected_equal,
        false_promotions_before=errors["before"].promoted_worse,
    )


if __name__ == "__main__":
    main()
