"""Measure how a task's cost grows from ten classes to a thousand.

    .venv/bin/python benchmarks/many_classes.py            1,000 classes in 100 tasks
    .venv/bin/python benchmarks/many_classes.py --quick    100 classes in 10 tasks

The classes are the numbers 000 to 999, each image composed of three images of scikit-learn's
handwritten digits, drawn with a seed. Training images use one half of that data set, test images
the other, so no digit of a test image was trained on. The experiment is
experiments/cifar10_pretrained.yaml (EfficientNet-Lite0, frozen, features of all stages; ten classes
a task; a student that inherits and is not taught) on smaller images. Its stages are computed as in
a run, in process on one thread. The other methods run first, so that features are computed before
the clock starts. Times are CPU seconds, which other programs on the machine change little. Growth
is measured from a tenth of the classes to all of them.
"""

from __future__ import annotations

import argparse
import io
import math
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measuring import IN_PROCESS, ROOT, print_figures
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from orchestrator.config import load_experiment
from orchestrator.config.methods import (
    AnalyticConfig,
    NearestClassMeanConfig,
    RanPacConfig,
)
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Split
from orchestrator.evaluation import last_accuracy
from orchestrator.stages import Stage, StageRunner, Work, prepare_work

CLASSES_PER_TASK, PLACES = 10, 3
IMAGES = {"train": 12, "test": 5}  # images of each class
SIZE = 32  # pixels of a side of the square that holds the digits
EXPERIMENT = ROOT / "experiments" / "cifar10_pretrained.yaml"
MethodConfig = AnalyticConfig | NearestClassMeanConfig | RanPacConfig
# on the same features; FeCAM keeps a covariance for each class, 47 GB for a thousand classes
OTHERS: dict[str, MethodConfig] = {
    "nearest class mean": NearestClassMeanConfig(),
    "analytic": AnalyticConfig(),
    "RanPAC": RanPacConfig(num_projections=2000),
}
Digits = dict[int, npt.NDArray[np.uint8]]


def main() -> None:
    """Compute all tasks, and print the cost of the first, of one at a tenth, and of the last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 classes")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="A.B=VALUE")
    arguments = parser.parse_args()
    num_classes = 100 if arguments.quick else 1000
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = work_on(num_classes, Path(folder), arguments.overrides)
        others = {kind: last_of(method, work) for kind, method in OTHERS.items()}
        seconds = seconds_of_stages(work)
        megabytes = {role: size_of(work, work.final_stages[role]) for role in ROLES}
        last: dict[str, float] = {role: last_accuracy(matrix_of(work, role)) for role in ROLES}
    print_growth(seconds)
    for name, accuracy in {**last, **others}.items():
        print(f"{name:20} last accuracy {accuracy:.1%}")
    early, late = num_classes // CLASSES_PER_TASK // 10, num_classes // CLASSES_PER_TASK
    a_task = [sum(typical(seconds[role], task) for role in ROLES) for task in (early, late)]
    print_figures(
        "many_classes",
        classes=num_classes,
        task_seconds_ratio=a_task[1] / a_task[0],
        task_seconds_exponent=math.log10(a_task[1] / a_task[0]),
        update_seconds=typical(seconds["teacher"], late),
        peak_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        student_minus_best_other=100 * (last["student"] - max(others.values())),
        teacher_last=100 * last["teacher"],
        student_last=100 * last["student"],
        teacher_megabytes=megabytes["teacher"],
        student_megabytes=megabytes["student"],
    )


def work_on(num_classes: int, folder: Path, overrides: list[str]) -> Work:
    """Write images to a folder, and return the work of all tasks on them."""
    images, digits = load_digits(return_X_y=True)
    halves = train_test_split(
        np.round(images / 16 * 255).astype(np.uint8).reshape(-1, 8, 8),
        digits,
        test_size=0.5,
        stratify=digits,
        random_state=0,
    )
    for half, own, labels in (("train", 0, 2), ("test", 1, 3)):
        by_digit = {digit: halves[own][halves[labels] == digit] for digit in range(10)}
        write_numbers(folder / f"{half}.parquet", by_digit, num_classes, IMAGES[half])
    own_overrides = [
        *IN_PROCESS,
        f"data.train={folder / 'train.parquet'}",
        f"data.test={folder / 'test.parquet'}",
        f"store.uri={folder / 'store'}",
        f"data.cache_dir={folder / 'cache'}",
        f"data.image_size={SIZE}",
        "data.validation_fraction=0",
        f"scenario.class_order=[{', '.join(names(num_classes))}]",
        f"scenario.num_base_classes={CLASSES_PER_TASK}",
        f"scenario.classes_per_task={CLASSES_PER_TASK}",
        f"teacher.backbone.input_size={2 * SIZE}",
        "teacher.backbone.mirrored=false",
        "student.teaching=null",
    ]
    return prepare_work(load_experiment(EXPERIMENT, [*own_overrides, *overrides]))


def names(num_classes: int) -> list[str]:
    """Return the classes in the order of arrival."""
    # with a letter, as YAML reads 010 as a number; shuffled, so that a task's numbers differ
    order = np.random.default_rng(0).permutation(10**PLACES)[:num_classes]
    return [f"n{number:0{PLACES}}" for number in order]


def write_numbers(file: Path, digits: Digits, num_classes: int, num_images: int) -> None:
    """Write the same number of images of every class.

    Args:
        file: Output file.
        digits: Images of each digit, uint8.
        num_classes: Classes to write.
        num_images: Images of each class.
    """
    draw = np.random.default_rng(1)
    encoded, labels = [], []
    for label in names(num_classes):
        for _ in range(num_images):
            places = [digits[int(c)][draw.integers(len(digits[int(c)]))] for c in label[1:]]
            canvas = np.zeros((SIZE, SIZE), np.uint8)
            canvas[12:20, 4:28] = np.concatenate(places, axis=1)
            data = io.BytesIO()
            Image.fromarray(canvas).convert("RGB").save(data, "PNG")
            encoded.append(data.getvalue())
            labels.append(label)
    pq.write_table(pa.table({"image": encoded, "label": labels}), file)


def last_of(method: MethodConfig, work: Work) -> float:
    """Compute another method's stages, and return its last accuracy."""
    other = prepare_work(work.experiment.model_copy(update={"method": method}))
    runner = StageRunner(other, torch.device("cpu"), lambda _: None)
    for stage in other.stages:
        runner.obtain(stage)
    return last_accuracy(matrix_of(other, "teacher"))


def seconds_of_stages(work: Work) -> dict[Role, list[float]]:
    """Compute all stages, and return the seconds of each: learning, storing and evaluation."""
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    seconds: dict[Role, list[float]] = {role: [] for role in ROLES}
    for number, stage in enumerate(work.stages):
        started = time.process_time()
        runner.obtain(stage)
        seconds[stage.role].append(time.process_time() - started)
        if number % (len(work.stages) // 10) == 0:
            print(f"{stage.name}: {seconds[stage.role][-1]:.2f} s", flush=True)
    return seconds


def print_growth(seconds: dict[Role, list[float]]) -> None:
    """Print the seconds of the first task, of one at a tenth, and of the last, as a Markdown
    table.
    """
    num_tasks = len(seconds["teacher"])
    print(f"\n| task | classes | {' | '.join(ROLES)} |\n|---|---|---|---|")
    for task in sorted({1, max(2, num_tasks // 10), num_tasks}):
        cells = (f"{typical(seconds[role], task):.2f} s" for role in ROLES)
        print(f"| {task} | {task * CLASSES_PER_TASK} | {' | '.join(cells)} |")
    print()


def typical(seconds: list[float], task: int) -> float:
    """Return the median seconds of a task and the four tasks around it."""
    around = seconds[max(0, task - 3) : task + 2]
    return float(np.median(around))


def size_of(work: Work, stage: Stage) -> float:
    """Return the megabytes of a stage's tensors."""
    tensors = work.artifact_of(stage).tensors.values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def matrix_of(work: Work, role: Role) -> list[list[float]]:
    """Return the accuracies on every task's test images after each task."""
    return [
        work.evaluation_of(stage).rows[Split.TEST] for stage in work.stages if stage.role == role
    ]


if __name__ == "__main__":
    main()
