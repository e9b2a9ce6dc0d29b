"""The method against its lower and upper bounds, and against itself with parts switched off, on handwritten digits.

    .venv/bin/python benchmarks/methods.py             every table, seeds 0, 1, 2 (about 40 minutes on 2 cores)
    .venv/bin/python benchmarks/methods.py --quick     one seed, few epochs (under 3 minutes; the numbers mean nothing)
    .venv/bin/python benchmarks/methods.py --groups methods student

Everything is `experiments/digits.yaml` with the overrides that stand beside each row, so each row is also one `orchestrator run`.
Stages with equal keys are computed once per seed. All numbers are of the test data, in percent: mean and, after ±, standard
deviation over the seeds; nothing here was tuned on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch

from orchestrator.config import load_experiment
from orchestrator.evaluation import average_incremental_accuracy, forgetting, last_accuracy
from orchestrator.pipelines.record import RunRecord, StageResult, evaluate
from orchestrator.pipelines.run import prepare_scenario
from orchestrator.stages import Model, Role, compute_stage, stage_graph
from orchestrator.stages.computation import StageInputs, Upstream
from orchestrator.training.context import LearningContext

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "digits.yaml"
QUICK = ["teacher.training.epochs=2", "teacher.refinement.epochs=1", "student.training.epochs=2"]
UNGATED = "teacher.refinement_gate=false"

METHODS = {
    "ours": [],
    "joint (upper bound)": ["method.kind=joint"],
    "analytic": ["method.kind=analytic"],
    "nearest class mean": ["method.kind=nearest_class_mean"],
    "finetuning (lower bound)": ["method.kind=finetuning"],
}
TEACHER = {
    "ours": [],
    "random vectors": ["teacher.augmentation.kind=random"],
    "vectors not learned": ["teacher.augmentation.learning_rate=0"],
    "no augmentation": ["teacher.augmentation.kind=none"],
    "no push and pull": ["teacher.joint_embedding.weight=0"],
    "no rotation": ["teacher.self_supervision=none"],
    "no augmented views": ["teacher.num_views=0"],
    "gate off": [UNGATED],
    "gate off, vectors not learned": [UNGATED, "teacher.augmentation.learning_rate=0"],
    "gate off, spread scalar": [UNGATED, "teacher.spread.kind=scalar"],
    "gate off, spread low-rank": [UNGATED, "teacher.spread.kind=low_rank"],
    "gate off, no augmentation": [UNGATED, "teacher.augmentation.kind=none"],
    "gate off, no push and pull": [UNGATED, "teacher.joint_embedding.weight=0"],
}
STUDENT = {
    "ours": [],
    "no teachers": ["student.embedding_weight=0", "student.classifier_weight=0", "student.prototype_weight=0"],
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
    "TSSR fixed 0.5": ["student.transfer.kind=fixed", "student.transfer.ratio=0.5"],
    "TSSR fixed 0.7": ["student.transfer.kind=fixed", "student.transfer.ratio=0.7"],
    "TSSR fixed 0.9": ["student.transfer.kind=fixed", "student.transfer.ratio=0.9"],
    "TSSR linear": ["student.transfer.kind=linear"],
}
EFFICIENCY = {
    "ours": [],
    "no augmentation": ["teacher.augmentation.kind=none"],
    "analytic": ["method.kind=analytic"],
    "nearest class mean": ["method.kind=nearest_class_mean"],
    "gate off": [UNGATED],
    "gate off, vectors not learned": [UNGATED, "teacher.augmentation.learning_rate=0"],
    "gate off, no augmentation": [UNGATED, "teacher.augmentation.kind=none"],
    "joint (upper bound)": ["method.kind=joint"],
}
GROUPS = {
    "methods": METHODS,
    "teacher": TEACHER,
    "student": STUDENT,
    "10 images a class": {name: [*overrides, "scenario.max_images_per_class=10"] for name, overrides in EFFICIENCY.items()},
    "30 images a class": {name: [*overrides, "scenario.max_images_per_class=30"] for name, overrides in EFFICIENCY.items()},
}
# Ablations of the teacher leave the student out: it would only take time
ROLES: dict[str, tuple[Role, ...]] = {"teacher": ("teacher",)}
MEASURES = (last_accuracy, average_incremental_accuracy, forgetting)


def run_variant(
    overrides: Sequence[str], roles: Sequence[Role], models: dict[str, Model], results: dict[str, StageResult]
) -> dict[str, dict[str, float]]:
    """The final metrics of one run, computing only stages that no earlier run of this seed has computed."""
    experiment = load_experiment(EXPERIMENT, overrides)
    scenario = prepare_scenario(experiment)
    record = RunRecord("benchmark", experiment, scenario)
    newest: dict[Role, Model] = {}
    for stage in stage_graph(experiment, scenario):
        if stage.role not in roles:
            continue
        if stage.key not in models:
            context = LearningContext(experiment.seed, stage.name, image_augmentation=experiment.data.augmentation)
            upstream = Upstream(newest.get(stage.role), newest.get("teacher"))
            models[stage.key] = compute_stage(StageInputs(stage, experiment, scenario, upstream), context)
            results[stage.key] = StageResult(stage, 0.0, False, *evaluate(models[stage.key].network, stage, scenario))
        newest[stage.role] = models[stage.key]
        record.add(results[stage.key], newest[stage.role].network.num_parameters())
    return {role: {measure.__name__: measure(record.matrix(role)) for measure in MEASURES} for role in roles}


def run_seed(seed: int, groups: Sequence[str], common: Sequence[str]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Every row of the chosen groups, for one seed."""
    torch.set_num_threads(1)
    models: dict[str, Model] = {}
    results: dict[str, StageResult] = {}
    rows: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for group in groups:
        for name, overrides in GROUPS[group].items():
            roles = ROLES.get(group, ("teacher", "student"))
            row = run_variant([*common, *overrides, f"seed={seed}"], roles, models, results)
            rows.setdefault(group, {})[name] = row
            last = {role: round(100 * row[role]["last_accuracy"], 1) for role in roles}
            print(f"seed {seed}  {group}: {name}  last accuracy {last}", flush=True)
    return rows


def print_table(group: str, by_seed: Sequence[dict[str, dict[str, dict[str, dict[str, float]]]]]) -> None:
    """One group as a Markdown table."""
    roles = ROLES.get(group, ("teacher", "student"))
    header = [f"{role} {measure}" for role in roles for measure in ("last", "avg. inc.", "forgetting")]
    print(f"\n### {group}\n\n| | {' | '.join(header)} |\n|---{'|---' * len(header)}|")
    for name in GROUPS[group]:
        cells = []
        for role in roles:
            for measure in MEASURES:
                values = [100 * rows[group][name][role][measure.__name__] for rows in by_seed]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.1f}{spread}")
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Runs the chosen groups over the chosen seeds and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=[*GROUPS], default=[*GROUPS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="seeds computed at the same time, one thread each")
    parser.add_argument("--quick", action="store_true", help="one seed, few epochs")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="A.B=VALUE", help="overrides of every row")
    arguments = parser.parse_args()
    seeds = [0] if arguments.quick else arguments.seeds
    common = [*(QUICK if arguments.quick else []), *arguments.overrides]
    with ProcessPoolExecutor(arguments.processes) as pool:
        by_seed = list(pool.map(partial(run_seed, groups=arguments.groups, common=common), seeds))
    for group in arguments.groups:
        print_table(group, by_seed)
    print(json.dumps({"benchmark": "methods", "seeds": seeds, "rows": by_seed}))


if __name__ == "__main__":
    main()
