"""Measure how a task's cost grows from ten classes to a thousand, and few images a class.

    .venv/bin/python benchmarks/many_classes.py            1,000 classes in 100 tasks
    .venv/bin/python benchmarks/many_classes.py --quick    100 classes in 10 tasks
    .venv/bin/python benchmarks/many_classes.py --pairs    100 classes with 15 images each

The classes are numbers, ten a task, whose images are composed of real handwritten digits
(`digit_numbers.py`): 000 to 999 with 12 training images each, or 00 to 99 with 15 (`--pairs`). The
experiment for three digits is experiments/cifar10_pretrained.yaml (EfficientNet-Lite0, frozen,
features of all stages; a student that inherits and is not taught) on smaller images. The experiment
for pairs is experiments/digits.yaml (networks trained in the first task) with a student that
inherits; students with their own network are measured for comparison.

The stages are computed as in a run, in process on one thread. The other methods run first, so that
features are computed before the clock starts. Times are CPU seconds, which other programs on the
machine change little. Memory is the largest resident set during a task; the store's size is what
the stages of ours add to it. To choose settings, `--validation` composes the test images of
training digits that are then not trained on.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from digit_numbers import Numbers
from measuring import IN_PROCESS, ROOT, PeakMemory, print_figures

from orchestrator.config import load_experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Split
from orchestrator.evaluation import last_accuracy
from orchestrator.stages import Stage, StageRunner, Work, prepare_work

CLASSES_PER_TASK = 10
TASKS = [f"scenario.{key}={CLASSES_PER_TASK}" for key in ("num_base_classes", "classes_per_task")]
BOTH, MEMORY, STORE = "both, s", "memory, MB", "store, MB"
OTHERS = {
    "nearest class mean": ["method={kind: nearest_class_mean}"],
    "analytic": ["method={kind: analytic}"],
    "RanPAC": ["method={kind: ranpac, num_projections: 2000}"],
}


@dataclass(frozen=True)
class Workload:
    """Images, the experiment that learns them, and what it is compared with.

    Attributes:
        numbers: Classes and images.
        experiment: File of the experiment.
        overrides: Overrides of the experiment.
        others: Overrides of every other method, which has the teacher's features.
        students: Overrides of other students of the same teacher.
    """

    numbers: Numbers
    experiment: Path
    overrides: list[str]
    others: dict[str, list[str]]
    students: dict[str, list[str]] = field(default_factory=dict)


def of_three_digits(num_classes: int) -> Workload:
    """Return numbers of three digits for a pre-trained teacher."""
    return Workload(
        Numbers(3, num_classes, num_train=12, num_test=5, size=32, num_channels=3),
        ROOT / "experiments" / "cifar10_pretrained.yaml",
        [
            "teacher.backbone.input_size=64",
            "teacher.backbone.mirrored=false",
            "student.teaching=null",
        ],
        OTHERS,  # not FeCAM: it keeps a covariance for each class, 47 GB for a thousand classes
    )


OWN_NETWORK = ["student.backbone={kind: small_cnn_tiny}"]
PAIRS = Workload(
    Numbers(2, 100, num_train=15, num_test=20, size=16, num_channels=1),
    ROOT / "experiments" / "digits.yaml",
    ["student.backbone={kind: inherited, until: stage3}", "student.few_images_shrinkage=0"],
    OTHERS
    | {
        "analytic, ridge 0.3": ["method={kind: analytic, ridge: 0.3}"],
        "FeCAM": ["method={kind: fecam, variance_shrinkage: 10, covariance_shrinkage: 10}"],
    },
    {
        "own network": OWN_NETWORK,
        "own network, varied less": [*OWN_NETWORK, "student.augmentation_strength=0.5"],
    },
)


@dataclass(frozen=True)
class Growth:
    """A figure after some tasks.

    Attributes:
        name: Name and unit.
        values: The figure, by the number of classes, smallest number first.
    """

    name: str
    values: dict[int, float]

    @property
    def ratio(self) -> float:
        """Return the figure at most classes ÷ the figure at fewest."""
        values = list(self.values.values())
        return values[-1] / values[0]

    @property
    def exponent(self) -> float:
        """Return the power of the number of classes with which the figure grows."""
        sizes = list(self.values)
        return math.log(self.ratio) / math.log(sizes[-1] / sizes[0])


def main() -> None:
    """Compute all tasks; print their cost, how it grows, and the accuracies."""
    arguments = parsed()
    torch.set_num_threads(1)
    memory = PeakMemory()
    workload = PAIRS if arguments.pairs else of_three_digits(100 if arguments.quick else 1000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        common = [
            *IN_PROCESS,
            *workload.numbers.write(folder, arguments.seed, validation=arguments.validation),
            *TASKS,
            f"store.uri={folder / 'store'}",
            f"data.cache_dir={folder / 'cache'}",
            f"seed={arguments.seed}",
            *workload.overrides,
            *arguments.overrides,
        ]
        others = {
            name: last_of(work_of(workload, [*common, *own]), "teacher")
            for name, own in workload.others.items()
        }
        work = work_of(workload, common)
        growths = measured(work, folder / "store", memory)
        ours: dict[str, float] = {role: last_of(work, role) for role in ROLES}
        for name, own in workload.students.items():
            ours[name] = last_of(work_of(workload, [*common, *own]), "student")
    print_growths(growths)
    for name, accuracy in {**ours, **others}.items():
        print(f"{name:30} last accuracy {accuracy:.1%}")
    memory.take()
    print_figures(
        "many_classes",
        images_a_class=workload.numbers.num_train,
        **figures_of(growths, ours, others),
        peak_gib=memory.of_all * 1e6 / 2**30,
    )


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 classes")
    parser.add_argument("--pairs", action="store_true", help="100 classes with 15 images each")
    parser.add_argument("--seed", type=int, default=0, help="of images and learning")
    parser.add_argument("--validation", action="store_true", help="test on no test digit")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="A.B=VALUE")
    return parser.parse_args()


def work_of(workload: Workload, overrides: Sequence[str]) -> Work:
    """Return the work of all tasks."""
    return prepare_work(load_experiment(workload.experiment, overrides))


def last_of(work: Work, role: Role) -> float:
    """Compute the stages that a role needs, and return the role's last accuracy."""
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    rows = []
    for stage in work.stages:
        if stage.role in {"teacher", role}:
            runner.obtain(stage)
        if stage.role == role:
            rows.append(work.evaluation_of(stage).rows[Split.TEST])
    return last_accuracy(rows)


def measured(work: Work, store: Path, memory: PeakMemory) -> list[Growth]:
    """Compute all stages, and return what they cost after the first, a tenth and all tasks."""
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    seconds: dict[str, list[float]] = {f"{role}'s task, s": [] for role in ROLES}
    others: dict[str, dict[int, float]] = {}
    shown, at_first = shown_tasks(work), bytes_in(store)
    pairs = zip(work.stages[::2], work.stages[1::2], strict=True)  # a task's teacher and student
    for task, stages in enumerate(pairs, start=1):
        memory.take()
        for stage in stages:
            started = time.process_time()
            runner.obtain(stage)
            seconds[f"{stage.role}'s task, s"].append(time.process_time() - started)
        if task in shown:
            print(
                f"task {task}: {' + '.join(f'{s[-1]:.2f}' for s in seconds.values())} s", flush=True
            )
            found = {MEMORY: memory.take(), STORE: (bytes_in(store) - at_first) / 1e6}
            found |= {f"{stage.role}'s artifact, MB": megabytes_of(work, stage) for stage in stages}
            for name, value in found.items():
                others.setdefault(name, {})[task * CLASSES_PER_TASK] = value
    seconds[BOTH] = [sum(both) for both in zip(*seconds.values(), strict=True)]
    times = {
        name: {task * CLASSES_PER_TASK: typical(of_tasks, task) for task in shown}
        for name, of_tasks in seconds.items()
    }
    return [Growth(name, values) for name, values in {**times, **others}.items()]


def shown_tasks(work: Work) -> list[int]:
    """Return the tasks to show, counted from 1: the first, that at a tenth, the last."""
    num_tasks = len(work.stages) // len(ROLES)
    return sorted({1, max(1, num_tasks // 10), num_tasks})


def typical(seconds: Sequence[float], task: int) -> float:
    """Return the median of a task's seconds and those of the four tasks around it."""
    around = seconds[max(0, task - 3) : task + 2]
    return float(np.median(around))


def megabytes_of(work: Work, stage: Stage) -> float:
    """Return the size of a stage's tensors."""
    tensors = work.artifact_of(stage).tensors.values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def print_growths(growths: Sequence[Growth]) -> None:
    """Print the figures after some tasks and how they grow, as a Markdown table."""
    sizes = list(growths[0].values)
    print(f"\n| classes | {' | '.join(f'{size:,}' for size in sizes)} | ratio | exponent |")
    print("|---" * (len(sizes) + 3) + "|")
    for growth in growths:
        cells = [f"{growth.values[size]:,.2f}" for size in sizes]
        print(
            f"| {growth.name} | {' | '.join(cells)} | {growth.ratio:.2f} | {growth.exponent:.2f} |"
        )
    print()


def figures_of(
    growths: Sequence[Growth], ours: dict[str, float], others: dict[str, float]
) -> dict[str, float]:
    """Return the closing figures for machines; accuracies and their differences in percent."""
    named = {growth.name: growth for growth in growths}
    *_, tenth, last = named[BOTH].values
    ratio = named[BOTH].values[last] / named[BOTH].values[tenth]
    return {
        "classes": last,
        "task_seconds_ratio": ratio,
        "task_seconds_exponent": math.log(ratio) / math.log(last / tenth),
        "update_seconds": named["teacher's task, s"].values[last],
        **{f"{role}_megabytes": named[f"{role}'s artifact, MB"].values[last] for role in ROLES},
        "memory_exponent": named[MEMORY].exponent,
        "store_exponent": named[STORE].exponent,
        "student_minus_best_other": 100 * (ours["student"] - max(others.values())),
        **{f"{role}_last": 100 * ours[role] for role in ROLES},
    }


if __name__ == "__main__":
    main()
