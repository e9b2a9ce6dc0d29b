"""Measure where teachers help: many labels, few labels, few plus unlabelled images, wrong labels.

    .venv/bin/python benchmarks/regimes.py              all regimes, three seeds: hours
    .venv/bin/python benchmarks/regimes.py --regimes "1,000 labels" "40 % wrong labels"
    .venv/bin/python benchmarks/regimes.py --quick      one seed, four classes, some rows

Each row is experiments/cifar10_pretrained.yaml (five tasks of two classes) with its overrides, on
the CIFAR-10 subset in ../shared/data. A regime draws its labelled images from the first 1,000 of
each class and replaces the labels of a share of them by another class, drawn uniformly. Unlabelled
images are the 800 that follow. A seed's draw is the same for every row. Choices were made on the
images of a class beyond these 1,800, never on test images; the tables show percentages on test
images. Computed stages stay in the store, so that a second call can add rows or seeds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measuring import CIFAR10, IN_PROCESS, ROOT, print_figures

from orchestrator.config import load_experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Split
from orchestrator.pipelines.run.suspicious_labels import find_suspicions
from orchestrator.stages import StageRunner, Work, prepare_work
from orchestrator.training.random_streams import stream

EXPERIMENT = ROOT / "experiments" / "cifar10_pretrained.yaml"
NUM_LABELED, NUM_UNLABELED = 1000, 800
SUSPECTED_SHARE = 0.05


@dataclass(frozen=True)
class Regime:
    """The data of a regime.

    Attributes:
        labels: Labelled images of each class.
        wrong: Share of wrong labels.
        with_unlabeled: Whether there are unlabelled images.
    """

    labels: int
    wrong: float = 0.0
    with_unlabeled: bool = False


REGIMES = {
    "1,000 labels": Regime(1000),
    **{f"{labels} labels": Regime(labels) for labels in (10, 30, 100)},
    **{
        f"{labels:,} labels and unlabeled": Regime(labels, with_unlabeled=True)
        for labels in (10, 30, 100, 1000)
    },
    **{f"{share} % wrong labels": Regime(1000, share / 100) for share in (20, 40, 60)},
}
FIXED = (0.1, 0.3, 0.5, 0.7, 0.9)
STUDENTS = {
    "no teacher": ["student.classifier_weight=0", "student.teaching=null"],
    "embedding teacher": ["student.classifier_weight=0"],
    "classifier teacher": ["student.teaching=null"],
    "both, per sample": [],
    **{
        f"both, fixed {ratio}": [f"student.transfer={{kind: fixed, ratio: {ratio}}}"]
        for ratio in FIXED
    },
    "both, linear": ["student.transfer={kind: linear}"],
    "both, threshold": ["student.transfer={kind: threshold}"],
    "both, threshold per sample": ["student.transfer={kind: threshold, per: sample}"],
}
REFINED = ["teacher.refinement.epochs=10"]
TEACHERS = {
    "final features": ["teacher.backbone.features={kind: final}"],
    "all stages": [],
    "refined, no vectors": [*REFINED, "teacher.augmentation={kind: none}"],
    "refined, random vectors": [*REFINED, "teacher.augmentation={kind: random}"],
    "refined, learned vectors": [*REFINED, "teacher.augmentation={kind: adaptive}"],
    "refined, learned vectors, no push and pull": [
        *REFINED,
        "teacher.augmentation={kind: adaptive}",
        "teacher.joint_embedding.weight=0",
    ],
}
OURS, ALONE = "both, per sample", "no teacher"
QUICK_ROWS = {"all stages", ALONE, OURS, "both, fixed 0.5"}
QUICK_REGIMES = ("100 labels", "10 labels and unlabeled", "40 % wrong labels")
QUICK = [
    "scenario.class_order=[airplane, automobile, bird, cat]",
    "teacher.backbone.mirrored=false",
    "student.teaching={training: {epochs: 1}, num_views: 2, max_images: 100}",
]
QUICK_SCALE = 0.1


@dataclass(frozen=True)
class Images:
    """The draw of a seed.

    Attributes:
        overrides: Overrides with which the experiment reads the draw.
        is_wrong: For each labelled image, whether its label is wrong.
    """

    overrides: Sequence[str]
    is_wrong: Sequence[bool]


def write_images(regime: Regime, seed: int, folder: Path, scale: float) -> Images:
    """Write the draw of a seed.

    Args:
        regime: The data to draw.
        seed: Seed of the draw.
        folder: Folder for the files.
        scale: Share of the images to keep; 1 keeps all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(CIFAR10 / "train.parquet")
    rows = _rows_by_class(table)
    num_labels = max(2, round(regime.labels * scale)) if regime.labels > 100 else regime.labels
    chosen, labels = [], []
    for name, own in rows.items():
        order = torch.randperm(NUM_LABELED, generator=stream(seed, "regime", name))
        chosen += [own[i] for i in order[:num_labels].sort().values.tolist()]
        labels += [name] * num_labels
    given = _spoiled(labels, list(rows), regime.wrong, seed)
    train = folder / f"train-{num_labels}-{regime.wrong}-{seed}.parquet"
    images = table.take(chosen).column("image")
    pq.write_table(pa.table({"image": images, "label": given}), train)
    overrides = [f"data.train={train}", f"data.test={_test_images(folder, scale)}"]
    if regime.with_unlabeled:
        num = round(NUM_UNLABELED * scale)
        others = [i for own in rows.values() for i in own[NUM_LABELED : NUM_LABELED + num]]
        unlabeled = folder / f"unlabeled-{num}.parquet"
        pq.write_table(pa.table({"image": table.take(others).column("image")}), unlabeled)
        overrides.append(f"data.unlabeled={{kind: parquet, path: {unlabeled}}}")
    return Images(overrides, [a != b for a, b in zip(labels, given, strict=True)])


def _test_images(folder: Path, scale: float) -> Path:
    whole = CIFAR10 / "test.parquet"
    if scale == 1:
        return whole
    table = pq.read_table(whole)
    part = folder / f"test-{scale}.parquet"
    pq.write_table(table.take(list(range(0, len(table), round(1 / scale)))), part)
    return part


def _rows_by_class(table: pa.Table) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(table.column("label").to_pylist()):
        found.setdefault(name, []).append(row)
    return dict(sorted(found.items()))


def _spoiled(labels: Sequence[str], names: Sequence[str], share: float, seed: int) -> list[str]:
    generator = stream(seed, "wrong labels")
    wrong = (torch.rand(len(labels), generator=generator) < share).tolist()
    steps = torch.randint(1, len(names), (len(labels),), generator=generator).tolist()
    return [
        names[(names.index(label) + step) % len(names)] if is_wrong else label
        for label, is_wrong, step in zip(labels, wrong, steps, strict=True)
    ]


def computed(overrides: Sequence[str], role: Role) -> Work:
    """Compute the stages that a role of a row needs, and return the row's work."""
    work = prepare_work(load_experiment(EXPERIMENT, overrides))
    needed = ROLES if role == "student" else ("teacher",)
    work = replace(
        work,
        stages=[stage for stage in work.stages if stage.role in needed],
        judges_labels=role == "student",
    )
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    return work


def last_accuracy(work: Work, role: Role) -> float:
    """Return a role's last accuracy on test images."""
    last = [stage for stage in work.stages if stage.role == role][-1]
    return statistics.mean(work.evaluation_of(last).rows[Split.TEST])


def suspicious_precision(work: Work, images: Images) -> float:
    """Return the share of wrong labels among the most doubted labels."""
    listed = find_suspicions(work).labels[: round(SUSPECTED_SHARE * len(images.is_wrong))]
    return statistics.mean(images.is_wrong[label.row] for label in listed)


def print_table(regime: str, rows: Mapping[str, Sequence[float]]) -> None:
    """Print the rows of a regime as a Markdown table."""
    print(f"\n### {regime}\n\n| | last |\n|---|---|")
    for name, values in rows.items():
        percents = [100 * value for value in values]
        spread = f" ± {statistics.stdev(percents):.1f}" if len(percents) > 1 else ""
        print(f"| {name} | {statistics.mean(percents):.1f}{spread} |", flush=True)
    print()


def measured(
    regime: str, rows: Mapping[Role, Mapping[str, list[str]]], seeds: Sequence[int], common: Common
) -> dict[str, float]:
    """Compute a regime's rows, print their table, and return the means.

    Args:
        regime: Name of the regime.
        rows: Name and overrides of each row, by role.
        seeds: Seeds of draws and training.
        common: Settings that all rows share.
    """
    found: dict[str, list[float]] = {}
    precisions: list[float] = []
    for seed in seeds:
        images = write_images(REGIMES[regime], seed, common.folder, common.scale)
        for role, of_role in rows.items():
            for name, overrides in of_role.items():
                started = time.perf_counter()
                own = [*images.overrides, *common.overrides, *overrides, f"seed={seed}"]
                work = computed(own, role)
                found.setdefault(f"{role}: {name}", []).append(last_accuracy(work, role))
                if name == OURS and REGIMES[regime].wrong:
                    precisions.append(suspicious_precision(work, images))
                seconds, last = time.perf_counter() - started, found[f"{role}: {name}"][-1]
                print(f"{regime}, seed {seed}: {role}: {name}: {last:.4f}, {seconds:.0f} s")
    print_table(regime, found)
    means = {name: statistics.mean(values) for name, values in found.items()}
    if precisions:
        means["suspicious_precision"] = statistics.mean(precisions)
        print(f"wrong among the 5 % most doubted: {means['suspicious_precision']:.1%}\n")
    return means


@dataclass(frozen=True)
class Common:
    """Settings that all rows share.

    Attributes:
        overrides: Overrides of the experiment.
        folder: Folder for the images.
        scale: Share of the images to use.
    """

    overrides: Sequence[str]
    folder: Path
    scale: float


def closing_figures(regimes: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the figures of the closing JSON line for the computed regimes and rows."""
    ours, alone = f"student: {OURS}", f"student: {ALONE}"
    gains = {
        name: 100 * (rows[ours] - rows[alone])
        for name, rows in regimes.items()
        if ours in rows and alone in rows
    }
    figures = {
        figure: gains[regime]
        for regime, figure in {
            "1,000 labels": "gain_of_teachers",
            "10 labels and unlabeled": "gain_few_labels_10",
            "30 labels and unlabeled": "gain_few_labels_30",
            "40 % wrong labels": "gain_noise_40",
        }.items()
        if regime in gains
    }
    many = next((name for name in ("1,000 labels", "100 labels") if name in regimes), None)
    if many in gains:
        figures.setdefault("gain_of_teachers", gains[many])
    if many is not None:
        for row, figure in ((ours, "student_last"), ("teacher: all stages", "teacher_last")):
            if row in regimes[many]:
                figures[figure] = 100 * regimes[many][row]
    noisy = [rows for name, rows in regimes.items() if REGIMES[name].wrong and ours in rows]
    differences = [
        100 * (rows[ours] - max(fixed))
        for rows in noisy
        if (fixed := [v for k, v in rows.items() if k.startswith("student: both, fixed")])
    ]
    if differences:
        figures["per_sample_minus_best_fixed"] = min(differences)
    if noisy:  # the first regime has the fewest wrong labels
        figures["suspicious_precision"] = noisy[0]["suspicious_precision"]
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Compute the regimes, and print a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES))
    parser.add_argument("--rows", nargs="+", choices=[*TEACHERS, *STUDENTS], default=None)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(".orchestrator/benchmarks"),
        help="store to reuse; its stages are not recomputed",
    )
    parser.add_argument("--quick", action="store_true", help="one seed, few images, some rows")
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="A.B=VALUE",
        help="overrides of every row",
    )
    arguments = parser.parse_args()
    store = arguments.store.absolute()
    common = Common(
        [
            *IN_PROCESS,
            f"store.uri={store}",
            "data.validation_fraction=0",
            *(QUICK if arguments.quick else []),
            *arguments.overrides,
        ],
        store / "regimes",
        QUICK_SCALE if arguments.quick else 1,
    )
    chosen = set(arguments.rows or (QUICK_ROWS if arguments.quick else [*TEACHERS, *STUDENTS]))
    rows: dict[Role, dict[str, list[str]]] = {
        "teacher": {name: own for name, own in TEACHERS.items() if name in chosen},
        "student": {name: own for name, own in STUDENTS.items() if name in chosen},
    }
    seeds = [0] if arguments.quick else arguments.seeds
    regimes = {
        regime: measured(regime, rows, seeds, common)
        for regime in (QUICK_REGIMES if arguments.quick else arguments.regimes)
    }
    print_figures("regimes", **closing_figures(regimes))


if __name__ == "__main__":
    main()
