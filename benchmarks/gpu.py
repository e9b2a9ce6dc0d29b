"""Measure a GPU's speed in under 8 minutes, and compare its results with the CPU's.

    .venv/bin/python benchmarks/gpu.py                         on a machine with CUDA
    .venv/bin/python benchmarks/gpu.py --quick                 fewer images and turns
    .venv/bin/python benchmarks/gpu.py --device cpu --quick    rehearses the same path without a GPU

Without CUDA it says so and exits with code 2. It runs the following measurements in this order, and
skips the remaining ones once 7 minutes have passed:

- equality: one network's logits on both devices, and a whole experiment on digits from the same
  seed, with the difference of its accuracies;
- throughput: input, teacher and student against `DataLoader` (`throughput.py`);
- tables of features: images per second of EfficientNet-Lite0 in float32 and in bfloat16, and the
  cosine between the features of both;
- lanes: both lanes on Ray, each with a share of the device, against one process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from measuring import digits_work, print_figures, timed
from throughput import (
    CHANGES,
    FULL,
    QUICK,
    SHAPE,
    input_alone,
    random_images,
    student_training,
    teacher_training,
)
from torch.nn import functional

from orchestrator.config.backbones import EfficientNetLite0Config, ResNet20Config
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Split
from orchestrator.evaluation import last_accuracy
from orchestrator.models import build_backbone
from orchestrator.models.network import extract_features
from orchestrator.stages import StageRunner, Work
from orchestrator.training.context import LearningContext

BUDGET_SECONDS = 7 * 60
TOLERANCE = 1e-3  # of logits, relative to the largest logit
ACCURACY_TOLERANCE = 0.05
WORKLOADS = {
    "full": ["teacher.training.epochs=20", "student.training.epochs=20"],
    "quick": [
        "teacher.training.epochs=1",
        "teacher.refinement.epochs=1",
        "student.training.epochs=1",
        "scenario.class_order=[0, 1, 2, 3]",
        "scenario.max_images_per_class=20",
    ],
}
Figures = Iterator[tuple[str, float]]


def main() -> None:
    """Run all measurements that fit the time budget, and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and turns")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU here: rehearse with --device cpu --quick", file=sys.stderr)
        raise SystemExit(2)
    device, workload = torch.device(arguments.device), "quick" if arguments.quick else "full"
    parts: dict[str, Callable[[Path], Figures]] = {
        "equality": lambda folder: equality(device, folder, WORKLOADS[workload]),
        "throughput": lambda _: throughput(device, arguments.quick),
        "tables of features": lambda _: feature_tables(device, 64 if arguments.quick else 4096),
        "lanes": lambda folder: lanes(device, folder, WORKLOADS[workload]),
    }
    started = time.perf_counter()
    figures: dict[str, object] = {"device": device_name(device)}
    with tempfile.TemporaryDirectory() as scratch:
        for name, part in parts.items():
            if time.perf_counter() - started > BUDGET_SECONDS:
                print(f"{name}: skipped, {BUDGET_SECONDS} s have passed", flush=True)
                continue
            began = time.perf_counter()
            for figure, value in part(Path(scratch)):
                figures[figure] = value
                print(f"{name}: {figure} {value:.4g}", flush=True)
            print(f"{name} took {time.perf_counter() - began:.0f} s", flush=True)
    print_figures("gpu", **figures, seconds=time.perf_counter() - started)


def device_name(device: torch.device) -> str:
    """Return a readable name of the device."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


def equality(device: torch.device, folder: Path, workload: list[str]) -> Figures:
    """Compare one network's logits and one experiment's accuracies with those of the CPU."""
    torch.manual_seed(0)
    images = random_images(256).images
    backbone = build_backbone(ResNet20Config(), SHAPE)
    here = extract_features(backbone, images)
    there = extract_features(backbone.to(device), images).cpu()
    difference = float((here - there).abs().max() / here.abs().max())
    yield "features_relative_difference", difference
    accuracies: dict[str, dict[Role, float]] = {}
    for number, which in enumerate((torch.device("cpu"), device)):
        work = digits_work(folder / f"equality-{number}", workload)
        began = time.perf_counter()
        accuracies[str(number)] = accuracies_of(work, which)
        yield f"seconds_{('cpu', 'device')[number]}", time.perf_counter() - began
    apart = max(abs(accuracies["0"][role] - accuracies["1"][role]) for role in ROLES)
    yield "accuracy_difference", apart
    yield "is_equal", float(difference < TOLERANCE and apart < ACCURACY_TOLERANCE)


def accuracies_of(work: Work, device: torch.device) -> dict[Role, float]:
    """Compute all stages on a device, and return the last accuracies."""
    runner = StageRunner(work, device, lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    return {
        role: last_accuracy(
            [work.evaluation_of(it).rows[Split.TEST] for it in work.stages if it.role == role]
        )
        for role in ROLES
    }


def throughput(device: torch.device, is_quick: bool) -> Figures:
    """Compare with `DataLoader` and a plain loop."""
    sizes, context = QUICK if is_quick else FULL, LearningContext(0, "teacher[0]", device, CHANGES)
    num_turns = 1 if is_quick else 3
    for comparison in (
        input_alone(sizes.num_input_images, context),
        teacher_training(sizes.num_training_images, context),
        student_training(sizes.num_training_images, context),
    ):
        found = comparison.measured(num_turns)
        yield f"{comparison.name}_ratio", found.ratio
        yield f"{comparison.name}_images_per_second", found.images_per_second


def feature_tables(device: torch.device, num_images: int) -> Figures:
    """Compute the features of images with a large extractor, in both precisions."""
    images, features = random_images(num_images).images, {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        config = EfficientNetLite0Config(input_size=112, precision=precision)
        extractor = build_backbone(config, SHAPE).to(device)
        extract_features(extractor, images[:64])  # warms up
        began = time.perf_counter()
        features[precision] = extract_features(extractor, images).float().cpu()
        seconds = time.perf_counter() - began
        yield f"{precision}_images_per_second", num_images / seconds
    cosine = functional.cosine_similarity(features["float32"], features["bfloat16"], dim=1)
    yield "bfloat16_cosine", float(cosine.min())


def lanes(device: torch.device, folder: Path, workload: list[str]) -> Figures:
    """Compare both lanes on Ray with one process."""
    gpus = [f"execution.{role}.num_gpus_per_worker=0.5" for role in ROLES]
    on_ray = ["execution.kind=ray", *(gpus if device.type == "cuda" else ())]
    here = ["execution.kind=in_process", f"execution.device={device.type}"]
    seconds = {}
    for name, settings in (("lanes", on_ray), ("one_process", here)):
        clock = timed(digits_work(folder / name, [*workload, *settings]))
        seconds[name] = clock.wall_seconds()
        yield f"{name}_seconds", seconds[name]
    yield "lanes_ratio", seconds["lanes"] / seconds["one_process"]


if __name__ == "__main__":
    main()
