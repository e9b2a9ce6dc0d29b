"""Simulate a month of a retraining: classes arrive two at a time, and everything that can go wrong
does.

    .venv/bin/python benchmarks/retraining.py            digits and CIFAR-10
    .venv/bin/python benchmarks/retraining.py --quick    digits only, with fewer epochs

Only the length of the days is simulated: every tick runs `orchestrator retrain` as a schedule
would, on real images, with a real registry. Some ticks find nothing new. One finds wrong labels,
which are corrected later. One finds more images of a known class. One comes too late. One is killed
(SIGKILL) at a random moment and run again. At the end the champion is loaded from the registry and
compared, on test images that no tick has seen, with the same tasks trained without disturbance. The
last tick's cost is compared with that of training all classes from scratch as one task: teacher and
student as in a tick, and both networks trained plainly. CIFAR-10 is included if ../shared/data has
its subset.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import print_figures
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from orchestrator.config import Experiment, load_experiment, with_values
from orchestrator.config.data import ArrivalsConfig
from orchestrator.models.network import predict
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import NullTracker

ROOT = Path(__file__).parents[1]
CIFAR = ROOT.parent / "shared" / "data" / "cifar10"
TICK_LIMIT = timedelta(hours=6)


@dataclass(frozen=True)
class Images:
    """Encoded images and their labels."""

    images: list[bytes]
    labels: list[Any]

    def of(self, *classes: object, part: slice = slice(None)) -> Images:
        """Return the images of some classes, a part of each class."""
        rows = [
            row
            for c in classes
            for row in [i for i, label in enumerate(self.labels) if label == c][part]
        ]
        return Images([self.images[row] for row in rows], [self.labels[row] for row in rows])

    def mislabelled(self, generator: random.Random) -> Images:
        """Return the same images, each with the label of another random image."""
        labels = list(self.labels)
        generator.shuffle(labels)
        return Images(self.images, labels)

    def write(self, file: Path) -> None:
        """Write the images as Parquet, atomically."""
        temporary = file.with_name(f".{file.name}")
        pq.write_table(pa.table({"image": self.images, "label": self.labels}), temporary)
        temporary.replace(file)


@dataclass(frozen=True)
class Case:
    """A data set and the settings of its month."""

    name: str
    classes: list[Any]
    train: Images
    test: Images
    settings: dict[str, Any]
    refreshes: bool


@dataclass
class Month:
    """The log of a month.

    Attributes:
        case: The data set.
        folder: Folder for all files.
        seconds: Seconds of each tick.
        idle: Seconds of the ticks that had nothing to do.
        problems: Deviations from the expected outcomes.
        is_superseded: Whether a candidate was held and the next one continued from it.
    """

    case: Case
    folder: Path
    seconds: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_superseded: bool = False

    @property
    def source(self) -> Path:
        """Return the folder in which images arrive."""
        return self.folder / "arrivals"

    def tick(self, what: str, *expected: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
        """Run a tick, and compare its outcome with the expected ones."""
        started = time.perf_counter()
        answer = subprocess.run(  # noqa: S603 - our own
            self.command(*more), cwd=self.folder, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
        if answer.returncode:
            raise RuntimeError(
                f"{what}: exit code {answer.returncode}\n{answer.stdout}{answer.stderr}"
            )
        summary: dict[str, Any] = json.loads((self.folder / "out" / "summary.json").read_text())
        print(
            f"  {what:46} {summary['outcome']:13} {seconds:6.1f} s  {summary['reason'][:150]}",
            flush=True,
        )
        if summary["outcome"] not in expected:
            self.problems.append(f"{what}: {summary['outcome']} instead of {' or '.join(expected)}")
        self.seconds.append(seconds)
        if summary["outcome"] == "nothing_to_do":
            self.idle.append(seconds)
        return summary

    def killed_tick(self, after_seconds: float) -> None:
        """Start a tick, and kill it."""
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603
            self.command(), cwd=self.folder, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
        time.sleep(after_seconds)
        print(
            f"  killed after {after_seconds:.1f} s{'' if process.poll() is None else ', too late'}",
            flush=True,
        )
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def command(self, *more: str) -> list[str]:
        """Return the command `orchestrator retrain` for this month's file."""
        return [
            sys.executable,
            "-m",
            "orchestrator",
            "retrain",
            "retraining.yaml",
            "--output",
            "out",
            *more,
        ]


def main() -> None:
    """Simulate the months, and print their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="digits only, with fewer epochs")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the moment of the kill and of the wrong labels"
    )
    parser.add_argument(
        "--until",
        metavar="STAGE",
        help="stage of the teacher until which the student inherits its layers; default: none,"
        " as the student has its own network",
    )
    arguments = parser.parse_args()
    cases = [digits_case(arguments.quick)]
    if not arguments.quick:
        cases += [cifar_case()] if CIFAR.is_dir() else []
        if not CIFAR.is_dir():
            print(f"no CIFAR-10: {CIFAR} is missing")
    if arguments.until:
        for case in cases:
            inherited = {"backbone": {"kind": "inherited", "until": arguments.until}}
            case.settings["experiment"]["student"] |= inherited
    figures = [lived_through(case, random.Random(arguments.seed)) for case in cases]  # noqa: S311 - a simulation
    print_figures(
        "retraining",
        accuracy_gap=max(figure["accuracy_gap"] for figure in figures),
        idle_tick_seconds=max(figure["idle_tick_seconds"] for figure in figures),
        cost_ratio=min(figure["cost_ratio"] for figure in figures),
        problems=[problem for figure in figures for problem in figure["problems"]],
        cases=figures,
    )


def lived_through(case: Case, generator: random.Random) -> dict[str, Any]:
    """Simulate one month."""
    with tempfile.TemporaryDirectory() as scratch:
        month = Month(case, Path(scratch))
        print(
            f"{case.name}: {len(case.train.labels)} images arrive, {len(case.test.labels)} are for"
            " the test",
            flush=True,
        )
        _live(month, generator)
        return _compare(month)


def _live(month: Month, generator: random.Random) -> None:
    case, source = month.case, month.source
    source.mkdir()
    (month.folder / "retraining.yaml").write_text(
        json.dumps(case.settings | {"source": case.settings["source"] | {"path": str(source)}})
    )
    pairs = [case.classes[i : i + 2] for i in range(0, len(case.classes), 2)]
    first, _ = pairs[0]
    month.tick("an empty folder", "nothing_to_do")
    # two thirds of the first class's images arrive later
    held_back = len(case.train.of(first).labels) * 2 // 3
    case.train.of(*pairs[0], part=slice(held_back)).write(source / "01.parquet")
    month.tick(f"the first classes {pairs[0]}", "promoted")
    month.tick("nothing new", "nothing_to_do")
    case.train.of(*pairs[1]).write(source / "02.parquet")
    month.tick(f"new classes {pairs[1]}", "promoted")
    case.train.of(*pairs[2]).mislabelled(generator).write(source / "03.parquet")
    # held if so many wrong labels are right by chance that the minimum may be reached
    month.tick(f"new classes {pairs[2]} with wrong labels", "rejected", "held")
    month.tick("the wrong labels are still there", "nothing_to_do", "held")
    case.train.of(*pairs[2]).write(source / "03.parquet")
    month.tick("corrected", "promoted")
    learning_seconds = month.seconds[-1]
    case.train.of(*pairs[0], part=slice(held_back, None)).write(source / "04.parquet")
    # an equally good candidate without new classes is held if images are too few for a verdict
    refreshed = ("promoted", "held") if case.refreshes else ("nothing_to_do",)
    refresh = month.tick(f"more images of {pairs[0]}", *refreshed)
    month.is_superseded = refresh["outcome"] == "held"
    case.train.of(*pairs[3]).write(source / "05.parquet")
    due = datetime.now(UTC) - TICK_LIMIT - timedelta(minutes=1)
    month.tick(
        f"new classes {pairs[3]}, but the tick is late",
        "nothing_to_do",
        more=("--scheduled-at", due.isoformat()),
    )
    month.killed_tick(generator.uniform(1, learning_seconds))
    # a tick killed after the promotion has finished all that counts
    month.tick("killed at a random moment, run again", "promoted", "nothing_to_do")
    month.tick("nothing new", "nothing_to_do")
    case.train.of(*pairs[4]).write(source / "06.parquet")
    month.tick(f"new classes {pairs[4]}", "promoted")


def _compare(month: Month) -> dict[str, Any]:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - seconds of imports

    case = month.case
    client = MlflowClient(f"sqlite:///{month.folder / 'mlflow.db'}")
    name = f"{case.settings['experiment']['name']}-student"
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")}
    aliases = {
        alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()
    }
    num = len(case.classes) // 2 + 1 + case.refreshes
    expected = {"champion": str(num), "previous": str(num - 1)}
    if not month.is_superseded:  # a held candidate takes the alias from the rejected one
        expected["challenger"] = "3"
    if aliases != expected or len(versions) != num:
        month.problems.append(
            f"aliases {aliases} of {len(versions)} versions instead of {expected} of {num}"
        )
    statuses = {
        r.info.status
        for r in client.search_runs([e.experiment_id for e in client.search_experiments()])
    }
    if "RUNNING" in statuses:
        month.problems.append("a run is left RUNNING")

    last = load_experiment(month.folder / "out" / "candidate" / "experiment.yaml")
    of_champion = _accuracies(_champion(client, name), case)
    undisturbed, _ = _learned(
        month, last, "dual_teacher", [list(task) for task in last.scenario.tasks or ()]
    )
    scratch, cost_of_scratch = _learned(month, last, "dual_teacher", [case.classes])
    joint, cost_of_joint = _learned(month, last, "joint", [case.classes])
    spent = json.loads((month.folder / "out" / "candidate" / "summary.json").read_text())[
        "worker_seconds"
    ]
    gap = undisturbed - of_champion
    print(
        f"  student on test images: champion {of_champion:.4f}, the same tasks undisturbed"
        f" {undisturbed:.4f}"
    )
    for name, accuracy, cost in (
        ("teacher and student", scratch, cost_of_scratch),
        ("both without distillation", joint, cost_of_joint),
    ):
        times = (
            f"{cost:.1f} worker-seconds, {cost / spent:.2f} times those of the last tick"
            f" ({spent:.1f})"
        )
        print(f"  from scratch on all data, {name}: accuracy {accuracy:.4f}, {times}")
    for problem in month.problems:
        print(f"  PROBLEM {problem}")
    return {
        "case": case.name,
        "accuracy_gap": gap,
        "champion": of_champion,
        "undisturbed": undisturbed,
        "from_scratch": scratch,
        "idle_tick_seconds": max(month.idle),
        "cost_ratio": cost_of_scratch / spent,
        "joint": joint,
        "joint_cost_ratio": cost_of_joint / spent,
        "problems": month.problems,
    }


def _learned(
    month: Month, experiment: Experiment, method: str, tasks: list[list[Any]]
) -> tuple[float, float]:
    """Train the tasks on all arrived images; return the student's test accuracy and the
    worker-seconds.
    """
    assert isinstance(experiment.data, ArrivalsConfig)  # noqa: S101 - for the type checker
    last = max(file.delivery for file in experiment.data.files)
    values = {
        "scenario.tasks": tasks,
        "scenario.learned": None,
        "data.held_out_only": [],
        "data.deliveries": [[str(c), last] for c in month.case.classes],
        "store.uri": str(month.folder / f"store of {method} {len(tasks)}"),
        "method.kind": method,
    }
    result = run(
        with_values(experiment, values),
        month.folder / f"out of {method} {len(tasks)}",
        tracker=NullTracker(),
    )
    network = result.models["student"].network

    def classify(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import torch  # noqa: PLC0415 - loaded by then

        return predict(network, torch.from_numpy(images)).numpy()

    named = [str(label) for task in tasks for label in task]
    return _accuracy(classify, named, month.case), float(result.summary["worker_seconds"])


def _champion(
    client: Any,  # noqa: ANN401
    name: str,
) -> tuple[Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], list[str]]:
    import mlflow  # noqa: PLC0415

    version = client.get_model_version_by_alias(name, "champion")
    model = mlflow.pyfunc.load_model(version.source)
    return model.predict, model.metadata.metadata["class_names"]


def _accuracies(
    champion: tuple[Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], list[str]], case: Case
) -> float:
    return _accuracy(*champion, case)


def _accuracy(
    classify: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    class_names: list[str],
    case: Case,
) -> float:
    source = case.settings["source"]
    decoded = [
        Image.open(io.BytesIO(content)).convert("L" if source["num_channels"] == 1 else "RGB")
        for content in case.test.images
    ]
    pixels = np.stack(
        [np.asarray(image.resize((source["image_size"],) * 2), dtype=np.uint8) for image in decoded]
    )
    images = pixels[:, None] if source["num_channels"] == 1 else pixels.transpose(0, 3, 1, 2)
    found = [
        class_names[index]
        for index in np.asarray(classify(np.ascontiguousarray(images))).argmax(axis=1)
    ]
    return float(
        np.mean([label == str(real) for label, real in zip(found, case.test.labels, strict=True)])
    )


def _settings(
    name: str,
    size: int,
    channels: int,
    experiment: dict[str, Any],
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    common = {
        "name": name,
        "execution": {"kind": "in_process", "device": "cpu", "num_threads": 1},
        "store": {"uri": "store"},
        "tracking": {"uri": "sqlite:///mlflow.db", "spool": "spool"},
    }
    source = {"settled_seconds": 0, "image_size": size, "num_channels": channels}
    return {
        "experiment": common | experiment,
        "source": source,
        "max_tick_age_seconds": TICK_LIMIT.total_seconds(),
        **more,
    }


def digits_case(quick: bool) -> Case:
    """Return scikit-learn's digits; 30 % of them are test images."""
    digits = load_digits()
    images = [_png(np.rint(pixels * (255 / 16)).astype(np.uint8)) for pixels in digits.images]
    train, test = train_test_split(
        np.arange(len(images)), test_size=0.3, stratify=digits.target, random_state=0
    )
    parts = [
        Images([images[row] for row in rows], [int(digits.target[row]) for row in rows])
        for rows in (sorted(train), sorted(test))
    ]
    briefly = {
        "teacher": {"training": {"epochs": 10}, "refinement": {"epochs": 5}},
        "student": {"training": {"epochs": 15}, "rehearsal": 0},
    }
    settings = _settings(
        "digits-month",
        8,
        1,
        briefly if quick else {"student": {"rehearsal": 0}},
        reactions={"more_samples": "refresh"},
        gate={"min_new_accuracy": 0.7},
    )
    return Case("digits", [*range(10)], *parts, settings, refreshes=True)


def cifar_case() -> Case:
    """Return a part of CIFAR-10: 400 training images a class, all test images of the subset."""
    tables = {
        split: pq.read_table(CIFAR / f"{split}.parquet").to_pydict() for split in ("train", "test")
    }
    everything = {
        split: Images([_bytes(image) for image in table["image"]], table["label"])
        for split, table in tables.items()
    }
    classes = sorted(set(tables["train"]["label"]))
    train = everything["train"].of(*classes, part=slice(400))
    experiment = {
        "data": {"kind": "digits", "augmentation": {"horizontal_flip": True}},
        "teacher": {"training": {"epochs": 15}},
        "student": {"training": {"epochs": 15}, "rehearsal": 0},
    }
    gate = {
        "min_new_accuracy": 0.25,
        "margin": 0.3,
        "max_taken": 0.4,
        "max_class_drop": 0.7,
        "max_forgetting": 0.6,
        "min_agreement": 0.2,
    }
    return Case(
        "CIFAR-10",
        classes,
        train,
        everything["test"],
        _settings("cifar-month", 32, 3, experiment, gate=gate),
        refreshes=False,
    )


def _bytes(image: object) -> bytes:
    return image["bytes"] if isinstance(image, dict) else image  # type: ignore[return-value]


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
