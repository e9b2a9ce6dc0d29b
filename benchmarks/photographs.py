"""Compare our method with others on the same features of photographs, with many images and with
few.

    .venv/bin/python benchmarks/photographs.py                    teachers, three orders or draws
    .venv/bin/python benchmarks/photographs.py --groups student   students: 15 minutes a row
    .venv/bin/python benchmarks/photographs.py --groups scratch   teachers from scratch
    .venv/bin/python benchmarks/photographs.py --quick            one order and draw, few images

Each row is experiments/cifar10_pretrained.yaml (EfficientNet-Lite0, frozen, 112 pixels; five tasks
of two classes) with its overrides, on the CIFAR-10 subset in ../shared/data, with 1,000 training
images a class and as many for validation. Features are computed once and shared by all rows. All
choices were made on validation images; the tables show percentages on test images. `--set`
overrides every row, for example `--set teacher.backbone.precision=bfloat16`, which is faster on
processors that support it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measuring import CIFAR10, IN_PROCESS, ROOT, print_figures
from methods import MEASURES, Metrics, fecam_shrunk_by

from orchestrator.config import load_experiment
from orchestrator.config.roles import Role
from orchestrator.data import Split
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.stages import StageRunner, prepare_work

EXPERIMENT = ROOT / "experiments" / "cifar10_pretrained.yaml"
RANPAC = ["method.kind=ranpac", "method.num_projections=5000"]
METHODS = {
    "ours": [],
    "analytic": ["method.kind=analytic"],
    "analytic, ridge 0.3": ["method.kind=analytic", "method.ridge=0.3"],
    "RanPAC": RANPAC,
    "FeCAM": fecam_shrunk_by(3),
    "nearest class mean": ["method.kind=nearest_class_mean"],
    "LwF": ["method.kind=lwf"],
    "joint (upper bound)": ["method.kind=joint"],
    "finetuning (lower bound)": ["method.kind=finetuning"],
}
CLOSED_FORM = ["teacher.joint_embedding.few_images_shrinkage=0"]
EFFICIENCY = {
    "ours": [],
    "closed form, shrunk 50 %": [*CLOSED_FORM, "teacher.joint_embedding.shrinkage=0.5"],
    "closed form, shrunk 90 %": [*CLOSED_FORM, "teacher.joint_embedding.shrinkage=0.9"],
    "analytic": ["method.kind=analytic"],
    "RanPAC": RANPAC,
    "FeCAM, shrunk by 30": fecam_shrunk_by(30),
    "FeCAM, shrunk by 300": fecam_shrunk_by(300),
    "nearest class mean": ["method.kind=nearest_class_mean"],
}
STUDENT = {
    "ours": [],
    "no teacher": [
        "student.embedding_weight=0",
        "student.classifier_weight=0",
        "student.prototype_weight=0",
    ],
    "embedding teacher only": ["student.classifier_weight=0"],
    "classifier teacher only": ["student.embedding_weight=0"],
    **{
        f"TSSR fixed {r}": ["student.transfer.kind=fixed", f"student.transfer.ratio={r}"]
        for r in (0.1, 0.3, 0.5, 0.7, 0.9)
    },
    "TSSR linear": ["student.transfer.kind=linear"],
    "joint (upper bound)": ["method.kind=joint"],
}
# a network of the student's size, trained in the first task
SCRATCH_TEACHER = [
    "teacher.backbone={kind: resnet20}",
    "teacher.extractor={kind: frozen}",
    "teacher.training.epochs=8",
    "teacher.joint_embedding.dimensions=448",
]
GOES_ON = [
    "teacher.extractor={kind: fine_tuned, learning_rate_fraction: 1, distillation_weight: 3}"
]
SCRATCH = {
    name: [*SCRATCH_TEACHER, *overrides]
    for name, overrides in {**METHODS, "ours, goes on learning": GOES_ON}.items()
}
ORDERS = {
    "alphabetical": [],
    "order 1": ["scenario.class_order=1"],
    "order 2": ["scenario.class_order=2"],
}
NUM_IMAGES = (5, 10, 30, 100)
QUICK = [
    "data.validation_fraction=0.98",
    "scenario.class_order=[airplane, automobile, bird, cat]",
    "student.training.epochs=1",
]


def rows_of(group: str) -> dict[str, list[str]]:
    """Return the rows of a group with their overrides."""
    match group.split():
        case ["methods", *_]:
            return METHODS
        case ["student", *_]:
            return STUDENT
        case ["scratch"]:
            return SCRATCH
        case _:
            return EFFICIENCY


def measured(overrides: Sequence[str], role: Role) -> Metrics:
    """Return the final metrics of one role's models on the test images."""
    work = prepare_work(load_experiment(EXPERIMENT, overrides))
    needed = {role, "teacher"} if work.experiment.method.kind == "dual_teacher" else {role}
    work = replace(work, stages=[stage for stage in work.stages if stage.role in needed])
    runner, matrix = StageRunner(work, torch.device("cpu"), lambda _: None), []
    for stage in work.stages:
        runner.obtain(stage)
        if stage.role == role:
            matrix.append(work.evaluation_of(stage).rows[Split.TEST])
            last = stage
    metrics = {measure.__name__: measure(matrix) for measure in MEASURES}
    model = work.model_from(work.artifact_of(last), last, torch.device("cpu"))
    if isinstance(model, TeacherModel):
        metrics["bytes_per_class"] = model.memory.num_bytes_per_class
    return {role: metrics}


def print_table(title: str, rows: Mapping[str, Sequence[dict[str, float]]]) -> None:
    """Print one group as a Markdown table; each row lists the metrics of every repeat."""
    print(f"\n### {title}\n\n| | last | avg. inc. | forgetting |\n|---|---|---|---|")
    for name, repeats in rows.items():
        cells = []
        for measure in MEASURES:
            values = [100 * metrics[measure.__name__] for metrics in repeats]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Compute the groups, and print a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    few = [f"{num} images a class" for num in NUM_IMAGES]
    by_default = [f"methods {order}" for order in ORDERS] + few
    groups = [*by_default, "student", "scratch"]
    parser.add_argument("--groups", nargs="+", choices=groups, default=by_default)
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1, 2],
        help="draws of the few images; seeds of the students",
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(".orchestrator/benchmarks"),
        help="store to reuse; its stages are not recomputed",
    )
    parser.add_argument("--rows", nargs="+", default=None, help="rows of every group; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="one order and draw, few images and classes"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="A.B=VALUE",
        help="overrides of every row",
    )
    arguments = parser.parse_args()
    common = [
        *IN_PROCESS,
        f"store.uri={arguments.store.absolute()}",
        f"data.train={CIFAR10 / 'train.parquet'}",
        f"data.test={CIFAR10 / 'test.parquet'}",
        "data.validation_fraction=0.5",
        *(QUICK if arguments.quick else []),
    ]
    figures: dict[str, object] = {}
    for group in [groups[0], few[0]] if arguments.quick else arguments.groups:
        role: Role = "student" if group == "student" else "teacher"
        seeds = arguments.seeds if group in [*few, "student"] and not arguments.quick else [0]
        own = ORDERS[group.removeprefix("methods ")] if group.startswith("methods") else []
        own = [f"scenario.max_images_per_class={group.split()[0]}"] if group in few else own
        table: dict[str, list[dict[str, float]]] = {}
        for name, overrides in rows_of(group).items():
            if arguments.rows is not None and name not in arguments.rows:
                continue
            started = time.perf_counter()
            table[name] = [
                measured([*common, *own, *overrides, *arguments.overrides, f"seed={seed}"], role)[
                    role
                ]
                for seed in seeds
            ]
            last = [round(metrics["last_accuracy"], 4) for metrics in table[name]]
            print(f"{group}: {name}: {last}, {time.perf_counter() - started:.0f} s", flush=True)
        print_table(group, table)
        if "ours" in table and "bytes_per_class" in table["ours"][0]:
            print(
                f"\nstored per class: {table['ours'][0]['bytes_per_class']:,.0f} bytes, plus one"
                " covariance for all"
            )
        figures[group] = {
            name: statistics.mean(m["last_accuracy"] for m in repeats)
            for name, repeats in table.items()
        }
    print_figures("photographs", **figures)


if __name__ == "__main__":
    main()
