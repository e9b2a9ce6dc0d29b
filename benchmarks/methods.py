"""Compare the method with its bounds and with itself, parts switched off, on handwritten digits.

    .venv/bin/python benchmarks/methods.py            every table, three seeds: 45 minutes
    .venv/bin/python benchmarks/methods.py --quick    one seed, few epochs: 3 minutes
    .venv/bin/python benchmarks/methods.py --groups methods student

Each row is `experiments/digits.yaml` with the overrides given here, so that one `orchestrator run`
reproduces it. Stages with equal keys are computed once, and an interrupted benchmark resumes. All
numbers are percentages on test data: mean and, after ±, standard deviation over the seeds; nothing
here was tuned on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from measuring import digits_work

from orchestrator.config.roles import Role
from orchestrator.data import Split
from orchestrator.evaluation import average_incremental_accuracy, forgetting, last_accuracy
from orchestrator.stages import StageRunner

QUICK = ["teacher.training.epochs=2", "student.training.epochs=2"]
REFINED = ["teacher.refinement.epochs=10"]
UNGATED = [*REFINED, "teacher.refinement_gate=false"]


def fecam_shrunk_by(strength: float) -> list[str]:
    """Return the overrides of FeCAM that shrink variances as much as covariances, as its paper
    does.
    """
    names = ("variance_shrinkage", "covariance_shrinkage")
    return ["method.kind=fecam", *(f"method.{name}={strength}" for name in names)]


METHODS = {
    "ours": [],
    "joint (upper bound)": ["method.kind=joint"],
    "analytic": ["method.kind=analytic"],
    "RanPAC": ["method.kind=ranpac"],
    "FeCAM": ["method.kind=fecam"],
    "nearest class mean": ["method.kind=nearest_class_mean"],
    "LwF": ["method.kind=lwf"],
    "finetuning (lower bound)": ["method.kind=finetuning"],
}
TEACHER = {
    "ours": [],
    "no rotation": ["teacher.self_supervision=none"],
    "no augmented views": ["teacher.num_views=0"],
    "refined": REFINED,
    "refined, vectors not learned": [*REFINED, "teacher.augmentation.learning_rate=0"],
    "refined, no augmentation": [*REFINED, "teacher.augmentation.kind=none"],
    "refined, no push and pull": [*REFINED, "teacher.joint_embedding.weight=0"],
    "gate off": UNGATED,
    "gate off, vectors not learned": [*UNGATED, "teacher.augmentation.learning_rate=0"],
    "gate off, spread observed": [*UNGATED, "teacher.spread.kind=observed"],
    "gate off, spread scalar": [*UNGATED, "teacher.spread.kind=scalar"],
    "gate off, spread low-rank": [*UNGATED, "teacher.spread.kind=low_rank"],
    "gate off, no augmentation": [*UNGATED, "teacher.augmentation.kind=none"],
    "gate off, no push and pull": [*UNGATED, "teacher.joint_embedding.weight=0"],
}
STUDENT = {
    "ours": [],
    "no teachers": [
        "student.embedding_weight=0",
        "student.classifier_weight=0",
        "student.prototype_weight=0",
    ],
    "no teachers, no consolidation": [
        "student.embedding_weight=0",
        "student.classifier_weight=0",
        "student.prototype_weight=0",
        "student.consolidation=1",
    ],
    "no embedding teacher": ["student.embedding_weight=0"],
    "no classifier teacher": ["student.classifier_weight=0"],
    "no augmented prototypes": ["student.prototype_weight=0"],
    "no mixtures": ["student.mixture_weight=0"],
    "no consolidation": ["student.consolidation=1"],
    "no stability": ["student.stability_weight=0"],
    "answers as taught": ["student.classifier=taught"],
    "answers as taught, no stability": ["student.classifier=taught", "student.stability_weight=0"],
    "TSSR fixed 0.5": ["student.transfer.kind=fixed", "student.transfer.ratio=0.5"],
    "TSSR fixed 0.7": ["student.transfer.kind=fixed", "student.transfer.ratio=0.7"],
    "TSSR linear": ["student.transfer.kind=linear"],
}
EFFICIENCY = {
    "ours": [],
    "no augmentation": ["teacher.augmentation.kind=none"],
    "analytic": ["method.kind=analytic"],
    "RanPAC": ["method.kind=ranpac"],
    "FeCAM": ["method.kind=fecam"],
    "FeCAM, shrunk by 10": fecam_shrunk_by(10),
    "nearest class mean": ["method.kind=nearest_class_mean"],
    "gate off": UNGATED,
    "gate off, no augmentation": [*UNGATED, "teacher.augmentation.kind=none"],
}
GROUPS = {
    "methods": METHODS,
    "teacher": TEACHER,
    "student": STUDENT,
    "10 images a class": {
        name: [*overrides, "scenario.max_images_per_class=10"]
        for name, overrides in EFFICIENCY.items()
    },
    "30 images a class": {
        name: [*overrides, "scenario.max_images_per_class=30"]
        for name, overrides in EFFICIENCY.items()
    },
}
# Ablations of the teacher skip the student, which would only take time
BOTH: tuple[Role, ...] = ("teacher", "student")
ROLES: dict[str, tuple[Role, ...]] = {"teacher": ("teacher",)}
MEASURES = (last_accuracy, average_incremental_accuracy, forgetting)

Job = tuple[str, str, int]  # group, row, seed
Metrics = dict[Role, dict[str, float]]


def run_row(job: Job, store_uri: str, common: Sequence[str]) -> Metrics:
    """Return the final metrics of one row and seed; compute only stages that the store lacks."""
    torch.set_num_threads(1)
    group, name, seed = job
    work = digits_work(
        store_uri, [*common, *GROUPS[group][name], f"seed={seed}"], ROLES.get(group, BOTH)
    )
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    matrices: dict[Role, list[list[float]]] = {role: [] for role in ROLES.get(group, BOTH)}
    for stage in work.stages:
        runner.obtain(stage)
        matrices[stage.role].append(work.evaluation_of(stage).rows[Split.TEST])
    metrics = {
        role: {measure.__name__: measure(matrix) for measure in MEASURES}
        for role, matrix in matrices.items()
    }
    last = {role: f"{100 * values['last_accuracy']:.1f}" for role, values in metrics.items()}
    print(f"{group}: {name}, seed {seed}: last accuracy {last}", flush=True)
    return metrics


def print_table(group: str, results: Mapping[Job, Metrics], seeds: Sequence[int]) -> None:
    """Print one group as a Markdown table."""
    roles = ROLES.get(group, BOTH)
    header = [
        f"{role} {measure}" for role in roles for measure in ("last", "avg. inc.", "forgetting")
    ]
    print(f"\n### {group}\n\n| | {' | '.join(header)} |\n|---{'|---' * len(header)}|")
    for name in GROUPS[group]:
        cells = []
        for role in roles:
            for measure in MEASURES:
                values = [
                    100 * results[group, name, seed][role][measure.__name__] for seed in seeds
                ]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.1f}{spread}")
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Run the chosen groups over the chosen seeds, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", nargs="+", choices=[*GROUPS], default=[*GROUPS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--processes", type=int, default=2, help="number of rows computed at once, one thread each"
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(".orchestrator/benchmarks"),
        help="store to reuse; its stages are not recomputed",
    )
    parser.add_argument("--quick", action="store_true", help="one seed, few epochs")
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="A.B=VALUE",
        help="overrides of every row",
    )
    arguments = parser.parse_args()
    seeds = [0] if arguments.quick else arguments.seeds
    common = [*(QUICK if arguments.quick else []), *arguments.overrides]
    # one job computes the stages that all others share before these start
    jobs: list[Job] = [
        (group, name, seed)
        for group in arguments.groups
        for name in GROUPS[group]
        for seed in seeds
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        row = partial(run_row, store_uri=str(arguments.store.absolute()), common=common)
        results = dict(zip(jobs, pool.map(row, jobs), strict=True))
    for group in arguments.groups:
        print_table(group, results, seeds)
    rows = [
        {"group": group, "row": name, "seed": seed, **metrics}
        for (group, name, seed), metrics in results.items()
    ]
    print(json.dumps({"benchmark": "methods", "rows": rows}))


if __name__ == "__main__":
    main()
