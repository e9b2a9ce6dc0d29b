"""Compare images on disk (`data.max_memory_gib`) with images in memory: memory, speed, equal
weights.

    .venv/bin/python benchmarks/streaming.py            some minutes on 2 cores
    .venv/bin/python benchmarks/streaming.py --quick    under 3 minutes

The data are photographs of CIFAR-10, repeated until they exceed the limit. Both sides train two
classes plainly (`finetuning`), in the order A B B A, each turn in a new process. `peak_gib` is the
peak of anonymous memory (RssAnon, which the kernel cannot drop and read again) above its value
before the first stage. It excludes images on disk, whose pages the kernel can drop at any time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measuring import CIFAR10, IN_PROCESS, digits_work, print_figures, timed

SIZE = 64
CLASSES = ("cat", "ship")
WORKLOADS = {"full": (40_000, 0.05), "quick": (4_000, 0.01)}  # training images, limit in GiB
SETTINGS = [
    "method.kind=finetuning",
    "teacher.backbone.kind=small_cnn_tiny",  # a small network makes reading count
    "teacher.training.epochs=1",
    "student.training.epochs=1",
    "execution.num_threads=1",
]
ORDER = (False, True, True, False)


@dataclass(frozen=True)
class Turn:
    """The measurements of one process.

    Attributes:
        seconds: Seconds in stages.
        peak_bytes: Peak of anonymous memory, above its value at the start.
        weights: Weights of the last teacher, as one vector.
    """

    seconds: float
    peak_bytes: int
    weights: torch.Tensor


def main() -> None:
    """Measure both sides, and print the ratio of their times and the peaks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller workload")
    num_images, bound = WORKLOADS["quick" if parser.parse_args().quick else "full"]
    turns: dict[bool, list[Turn]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as scratch:
        settings = [*SETTINGS, *IN_PROCESS, *_data(Path(scratch), num_images)]
        for number, streamed in enumerate(ORDER):
            bounded = [f"data.max_memory_gib={bound}"] if streamed else []
            turn = _in_own_process(Path(scratch) / f"store {number}", [*settings, *bounded])
            turns[streamed].append(turn)
            where = "on disk" if streamed else "in memory"
            print(
                f"{where:9}  {turn.seconds:6.1f} s in stages, peak"
                f" {turn.peak_bytes / 2**30:.3f} GiB",
                flush=True,
            )
    seconds = {
        streamed: sum(turn.seconds for turn in of_side) for streamed, of_side in turns.items()
    }
    peaks = {
        streamed: max(turn.peak_bytes for turn in of_side) / 2**30
        for streamed, of_side in turns.items()
    }
    data = num_images * 3 * SIZE**2 / 2**30
    same = all(
        torch.equal(turn.weights, turns[False][0].weights)
        for of_side in turns.values()
        for turn in of_side
    )
    print(
        f"\n{data:.3f} GiB of images, bound {bound} GiB; the weights are"
        f" {'the same, bit for bit' if same else 'NOT the same'}"
    )
    print_figures(
        "streaming",
        speed_ratio=seconds[False] / seconds[True],
        peak_gib=peaks[True],
        in_memory_peak_gib=peaks[False],
        data_gib=data,
        bound_gib=bound,
        same_weights=same,
    )


def _data(folder: Path, num_images: int) -> list[str]:
    """Write the photographs of two classes repeatedly; return the overrides that read them."""
    for half, num in (("train", num_images), ("test", 200)):
        table = pq.read_table(CIFAR10 / f"{half}.parquet")
        rows = [row for row in table.to_pylist() if row["label"] in CLASSES]
        rows.sort(key=lambda row: CLASSES.index(row["label"]))
        repeated = [rows[number * len(rows) // num % len(rows)] for number in range(num)]
        pq.write_table(
            pa.Table.from_pylist(repeated, schema=table.schema), folder / f"{half}.parquet"
        )
    data = (
        f"{{kind: parquet, train: {folder}/train.parquet, test: {folder}/test.parquet, image_size:"
        f" {SIZE}, cache_dir: {folder}/cache}}"
    )
    return [f"data={data}", "scenario={num_base_classes: 2, classes_per_task: 1, class_order: 0}"]


def _in_own_process(store: Path, overrides: list[str]) -> Turn:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_turn, store, overrides).result()


def _turn(store: Path, overrides: list[str]) -> Turn:
    work = digits_work(store, overrides)
    with _Sampler() as sampler:
        clock = timed(work)
    tensors = work.artifact_of(work.stages[0]).tensors
    weights = torch.cat([tensors[name].flatten().double() for name in sorted(tensors)])
    return Turn(clock.worker_seconds, sampler.peak - sampler.start, weights)


class _Sampler:
    """Sampler of this process's anonymous memory, every 10 ms."""

    def __enter__(self) -> _Sampler:
        self.start = self.peak = _anonymous_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.01):
            self.peak = max(self.peak, _anonymous_bytes())


def _anonymous_bytes() -> int:
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
