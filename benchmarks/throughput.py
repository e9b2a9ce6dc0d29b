"""Measure images per second: this project's input pipeline and training steps against the
straightforward way (`plain_training.py`).

    .venv/bin/python benchmarks/throughput.py            about 10 minutes on 2 cores
    .venv/bin/python benchmarks/throughput.py --quick    fewer images and turns: under 3 minutes

ResNet-20 on RGB images of 32x32 in batches of 128, with the same augmentations at the same
strengths, on a GPU if there is one. Both sides take turns, and medians are compared. Pixels are
random: that favours neither side, and neither has to decode a file. Three things are measured:

- input: augmented floating-point batches, which are then discarded;
- teacher: the classification training of its extractor (the project's own `pretrain_extractor`,
  without quarter turns);
- student: its distillation in the first task (the project's own `learn_student_task`), with
  ResNet-20 as the teacher.

The convolution peak is that of one large 3x3 convolution. The ratios of CPU seconds (of all
processes of a side) support the ratios of wall time, and other programs on the machine disturb them
less; on a GPU they only show how much CPU work is saved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import psutil
import torch
from measuring import print_figures
from plain_training import (
    PlainDistillation,
    PlainImages,
    batches_of,
    plain_classification,
    plain_loader,
    train_plainly,
)
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.backbones import ResNet20Config
from orchestrator.config.student import StudentConfig
from orchestrator.config.teacher import TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.student import learn_student_task
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.methods.features.extractor import pretrain_extractor
from orchestrator.models import (
    AnyNetwork,
    CosineClassifier,
    Network,
    ProjectionEmbedding,
    build_backbone,
)
from orchestrator.training.context import LearningContext

SHAPE, NUM_CLASSES, BATCH_SIZE = (3, 32, 32), 10, 128
CHANGES = ImageAugmentationConfig(horizontal_flip=True)
TRAINING = TrainingConfig(epochs=1, batch_size=BATCH_SIZE)
TEACHER = TeacherConfig(backbone=ResNet20Config(), training=TRAINING, self_supervision="none")
STUDENT = StudentConfig(training=TRAINING, augmentation_strength=1.0)


@dataclass(frozen=True)
class Sizes:
    """The size of a measurement.

    Attributes:
        num_input_images: Images of a turn of the input pipeline.
        num_training_images: Images of a turn of training.
        num_turns: Turns of each side.
    """

    num_input_images: int
    num_training_images: int
    num_turns: int


FULL = Sizes(num_input_images=40_960, num_training_images=5_120, num_turns=7)
QUICK = Sizes(num_input_images=10_240, num_training_images=1_280, num_turns=3)


@dataclass(frozen=True)
class Comparison:
    """Two ways to process the same number of images."""

    name: str
    num_images: int
    plain: Callable[[], object]
    ours: Callable[[], object]

    def measured(self, num_turns: int) -> Measurement:
        """Return the medians of alternating turns, after one warm-up turn of each side."""
        sides = {"plain": self.plain, "ours": self.ours}
        wall: dict[str, list[float]] = {side: [] for side in sides}
        cpu: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(num_turns + 1):
            for side, work in sides.items():
                started, cpu_started = time.perf_counter(), _cpu_seconds()
                work()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                if turn:
                    wall[side].append(time.perf_counter() - started)
                    cpu[side].append(_cpu_seconds() - cpu_started)
        for side in sides:
            speeds = " ".join(f"{self.num_images / seconds:8.0f}" for seconds in wall[side])
            print(
                f"{self.name:8} {side:6} {speeds} images/s, {statistics.median(cpu[side]):.1f} CPU"
                " s a turn",
                flush=True,
            )
        (plain, ours), (plain_cpu, ours_cpu) = (
            [statistics.median(of_side) for of_side in kind.values()] for kind in (wall, cpu)
        )
        return Measurement(plain / ours, plain_cpu / ours_cpu, self.num_images / ours)


class Measurement(NamedTuple):
    """The result of a comparison.

    Attributes:
        ratio: Seconds of the plain way ÷ ours.
        cpu_ratio: The same for the CPU seconds of all processes.
        images_per_second: Images per second of ours.
    """

    ratio: float
    cpu_ratio: float
    images_per_second: float


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and the loader's workers."""
    workers = [worker.cpu_times() for worker in psutil.Process().children(recursive=True)]
    return time.process_time() + sum(times.user + times.system for times in workers)


def random_images(num: int) -> LabeledImages:
    """Return random images, the same number of each class."""
    return LabeledImages(
        torch.randint(0, 256, (num, *SHAPE), dtype=torch.uint8), torch.arange(num) % NUM_CLASSES
    )


def input_alone(num_images: int, context: LearningContext) -> Comparison:
    """Compare the batches that a network receives, without training."""
    data = random_images(num_images)
    batches = BalancedBatches(data.labels, BATCH_SIZE, partial(context.stream, "batches"))
    loader = plain_loader(PlainImages(data, CHANGES, num_views=1), BATCH_SIZE, context.device)

    def ours() -> None:
        for number, rows in enumerate(batches.epoch(0)):
            context.vary(
                data.images.index_select(0, rows), context.stream("views", number)
            ).float().div_(255)

    def plain() -> None:
        for _ in batches_of(loader, context.device):
            pass

    return Comparison("input", num_images, plain, ours)


def teacher_training(num_images: int, context: LearningContext) -> Comparison:
    """Compare an epoch of the extractor's training."""
    data = random_images(num_images)
    extractor, plain_extractor = (
        build_backbone(TEACHER.backbone, SHAPE).to(context.device) for _ in range(2)
    )
    head = nn.Linear(plain_extractor.num_features, NUM_CLASSES).to(context.device)
    loader = plain_loader(PlainImages(data, CHANGES, num_views=1), BATCH_SIZE, context.device)
    trained = nn.ModuleList([plain_extractor, head])
    plain = train_plainly(
        trained, plain_classification(plain_extractor, head), loader, context.device
    )
    return Comparison(
        "teacher", num_images, plain, lambda: pretrain_extractor(extractor, data, TEACHER, context)
    )


def student_training(num_images: int, context: LearningContext) -> Comparison:
    """Compare an epoch of distillation from a teacher."""
    data = random_images(num_images)
    brief = TEACHER.model_copy(update={"num_views": 1})
    teacher = learn_teacher_task(None, random_images(BATCH_SIZE), brief, context)
    loader = plain_loader(PlainImages(data, CHANGES, num_views=2), BATCH_SIZE, context.device)
    student = _untrained_student(teacher, context.device)
    plain = train_plainly(
        student, PlainDistillation(student, teacher, STUDENT), loader, context.device
    )
    return Comparison(
        "student",
        num_images,
        plain,
        lambda: learn_student_task(None, teacher, data, STUDENT, context),
    )


def _untrained_student(teacher: TeacherModel, device: torch.device) -> AnyNetwork:
    extractor = build_backbone(STUDENT.backbone, SHAPE)
    directions = teacher.network.classifier.directions().detach()
    classifier = CosineClassifier(directions.shape[1]).to(device)
    classifier.anchor(directions)
    return Network(
        extractor, ProjectionEmbedding(extractor.num_features, directions.shape[1]), classifier
    ).to(device)


def convolution_peak(device: torch.device) -> float:
    """Return the peak FLOP/s of a forward pass through a 3x3 convolution from 256 to 256
    channels.
    """
    layer = nn.Conv2d(256, 256, 3, padding=1).to(device, memory_format=torch.channels_last)
    images = torch.randn(16, 256, 32, 32, device=device).contiguous(
        memory_format=torch.channels_last
    )
    num_operations = 2 * 9 * 256 * 256 * 16 * 32 * 32
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        with torch.no_grad():
            layer(images)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return num_operations / min(seconds)


def operations_per_image() -> float:
    """Return the FLOP of a training step of the teacher's extractor, forward and backward."""
    extractor = build_backbone(TEACHER.backbone, SHAPE)
    with FlopCounterMode(display=False) as counter:
        functional.mse_loss(
            extractor(random_images(2).images), torch.zeros(2, extractor.num_features)
        ).backward()
    return counter.get_total_flops() / 2


def main() -> None:
    """Measure all three, and print ratios of seconds: plain ÷ ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and turns")
    sizes = QUICK if parser.parse_args().quick else FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = LearningContext(0, "teacher[0]", device, CHANGES)
    name = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    peak = convolution_peak(device)
    print(f"{name}; a large convolution reaches {peak / 1e9:.0f} GFLOP/s", flush=True)
    comparisons = [
        input_alone(sizes.num_input_images, context),
        teacher_training(sizes.num_training_images, context),
        student_training(sizes.num_training_images, context),
    ]
    found = {comparison.name: comparison.measured(sizes.num_turns) for comparison in comparisons}
    peak = max(convolution_peak(device), peak)
    share = found["teacher"].images_per_second * operations_per_image() / peak
    figures: dict[str, float] = {}
    for which, measured in found.items():
        print(f"{which}: {measured.ratio:.2f} times as fast, CPU seconds {measured.cpu_ratio:.2f}")
        figures |= {f"{which}_{name}": value for name, value in measured._asdict().items()}
    print(f"the teacher's training reaches {100 * share:.0f} % of the convolution peak")
    print_figures(
        "throughput", **figures, peak_gflops=peak / 1e9, share_of_peak=share, device=device.type
    )


if __name__ == "__main__":
    main()
