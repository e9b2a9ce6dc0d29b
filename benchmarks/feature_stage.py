"""Compare twenty trials that share tables of features and views with trials that do not.

    .venv/bin/python benchmarks/feature_stage.py                   1,000 images a class: 20 minutes
    .venv/bin/python benchmarks/feature_stage.py --quick           50 images a class: some minutes
    .venv/bin/python benchmarks/feature_stage.py --role student    students that are taught

Trials of teachers differ in the shrinkage of the covariance. Trials of students differ in the
lowest TSSR; they share a teacher, its answers for seeded views, and the taught layers. All trials
train on CIFAR-10's first four classes with a frozen EfficientNet-Lite0.

With tables: all trials share one store, so the first trial computes the tables and the others map
them into memory. Without: each trial has its own store and computes its own tables. Trials without
tables are spread evenly among those with, so that a slower machine slows both sides. A class has as
many validation images as training images, and half as many test images. Needs
../shared/data/cifar10, or another pair of Parquet files (--train, --test).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from measuring import CIFAR10, ROOT, print_figures

from orchestrator.config import load_experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.stages import StageRunner, Work, prepare_work

NUM_TRIALS = 20
# training images a class, and number of trials measured without tables
WORKLOADS = {"full": (1000, 1), "quick": (50, 2)}
CLASSES = ["airplane", "automobile", "bird", "cat"]


def first_images(source: Path, num_images: int, file: Path) -> Path:
    """Write a Parquet file with the first images of each of the four classes."""
    table = pq.read_table(source)
    labels = np.asarray(table["label"].to_pylist())
    rows = np.concatenate([np.flatnonzero(labels == name)[:num_images] for name in CLASSES])
    pq.write_table(table.take(rows), file)
    return file


def overrides_for(train: Path, test: Path, num_images: int, scratch: Path) -> list[str]:
    """Return the data settings of all trials: training and validation images a class, and half as
    many test images.
    """
    train = first_images(train, 2 * num_images, scratch / f"train-{num_images}.parquet")
    test = first_images(test, num_images // 2, scratch / f"test-{num_images}.parquet")
    return [
        f"data.train={train}",
        f"data.test={test}",
        f"scenario.class_order=[{', '.join(CLASSES)}]",
        "data.validation_fraction=0.5",
    ]


def trial(role: Role, number: int, store: Path, overrides: Sequence[str]) -> Work:
    """Return the stages of one trial: a teacher's, or a student's with its teacher's."""
    scratch = store.parent
    varied = {
        "teacher": f"teacher.joint_embedding.shrinkage={0.02 + 0.001 * number}",
        "student": f"student.transfer.lowest={0.2 + 0.02 * number}",
    }
    own = [
        varied[role],
        f"store.uri={store}",
        f"data.cache_dir={scratch / 'images'}",
    ]
    work = prepare_work(
        load_experiment(ROOT / "experiments" / "cifar10_pretrained.yaml", [*overrides, *own])
    )
    needed = ROLES if role == "student" else (role,)
    return replace(work, stages=[stage for stage in work.stages if stage.role in needed])


def seconds_of(work: Work) -> float:
    """Compute the stages of a trial, and return the seconds."""
    started = time.perf_counter()
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    return time.perf_counter() - started


def main() -> None:
    """Measure both sides, and print the ratio of their worker-seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images")
    parser.add_argument("--role", choices=ROLES, default="teacher", help="what a sweep varies")
    parser.add_argument("--train", type=Path, default=CIFAR10 / "train.parquet")
    parser.add_argument("--test", type=Path, default=CIFAR10 / "test.parquet")
    arguments = parser.parse_args()
    num_images, num_without = WORKLOADS["quick" if arguments.quick else "full"]
    with_tables, without = [], []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        overrides = overrides_for(arguments.train, arguments.test, num_images, scratch)
        seconds_of(
            trial(
                arguments.role,
                0,
                scratch / "warm-up",
                overrides_for(arguments.train, arguments.test, 10, scratch),
            )
        )
        for number in range(NUM_TRIALS):
            with_tables.append(
                seconds_of(trial(arguments.role, number, scratch / "store", overrides))
            )
            if number % (NUM_TRIALS // num_without) == 0:
                without.append(
                    seconds_of(
                        trial(arguments.role, number, scratch / f"store-{number}", overrides)
                    )
                )
            print(
                f"trial {number}: {with_tables[-1]:.1f} s with tables; without, so far:"
                f" {[round(s, 1) for s in without]} s",
                flush=True,
            )
    mean_without, total_with = sum(without) / len(without), sum(with_tables)
    later = sum(with_tables[1:]) / (NUM_TRIALS - 1)
    print(
        f"\nwith tables     {total_with:8.1f} s for {NUM_TRIALS} trials: {with_tables[0]:.1f} s the"
        f" first, {later:.2f} s every other"
    )
    print(
        f"without tables  {NUM_TRIALS * mean_without:8.1f} s for {NUM_TRIALS} trials, from"
        f" {len(without)} of {mean_without:.1f} s each"
    )
    print_figures(
        "feature_stage",
        role=arguments.role,
        worker_seconds_ratio=NUM_TRIALS * mean_without / total_with,
        ratio_of_a_later_trial=mean_without / later,
        trials=NUM_TRIALS,
        measured_without=len(without),
        images_per_class=num_images,
    )


if __name__ == "__main__":
    main()
