"""A stage's key holds exactly the configuration fields that its training reads; the test records
the reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.stages import Model, Stage, prepare_work
from orchestrator.stages.computation import StageInputs, Upstream, compute_stage
from orchestrator.stages.configuration import configuration_read
from orchestrator.training.context import LearningContext
from tests.every_method import METHODS, small
from tests.field_reads import FieldReads

TORCHVISION = {"kind": "torchvision", "name": "resnet18"}
INHERITED = "an inherited student"
VARIANTS: dict[str, dict[str, Any]] = {
    "the defaults": {"teacher": {"backbone": {"kind": "small_cnn_tiny"}}},
    "another kind of everything": {
        "teacher": {
            "backbone": TORCHVISION,
            "extractor": {"kind": "fine_tuned"},
            "spread": {"kind": "low_rank", "rank": 2},
            "augmentation": {"kind": "random"},
        },
        "student": {"backbone": TORCHVISION, "transfer": {"kind": "fixed"}},
    },
    "a third kind": {
        "teacher": {
            "backbone": {"kind": "small_cnn_tiny"},
            "refinement": {"epochs": 0},
            "spread": {"kind": "scalar"},
            "augmentation": {"kind": "none"},
        },
        "student": {"transfer": {"kind": "linear"}},
    },
    INHERITED: {
        "teacher": {"backbone": {"kind": "small_cnn_tiny", "features": {"kind": "stages"}}},
        "student": {
            "backbone": {"kind": "inherited", "until": "stage2"},
            "teaching": {"training": {"epochs": 1}, "num_views": 2, "max_images": 8},
            "transfer": {"kind": "per_sample"},
        },
    },
    "everything switched off": {
        "teacher": {
            "backbone": {"kind": "small_cnn_tiny"},
            "self_supervision": "none",
            "num_views": 0,
            "refinement_gate": False,
            "joint_embedding": {"weight": 0.0, "keep_weight": 0.0},
            "augmentation": {
                "learning_rate": 0.0,
                "separation_weight": 0.0,
                "diversity_weight": 0.0,
            },
        },
        "student": {"embedding_weight": 0.0, "classifier_weight": 0.0, "prototype_weight": 0.0},
    },
}
_WITHOUT_VIEWS = {
    f"data.augmentation.{name}": "no views, and no extractor to train"
    for name in ImageAugmentationConfig.model_fields
}
_OFF = "everything switched off"
# Fields that a key may hold unread, and why: under these other values they have no effect.
UNREAD: dict[tuple[str, str, str], dict[str, str]] = {
    ("dual_teacher", "another kind of everything", "teacher[1]"): {
        "teacher.spread.rank": (
            "the statistics of the first task have the rank already, and that task's key is part of"
            " this one"
        ),
    },
    ("dual_teacher", INHERITED, "student[1]"): {
        "student.backbone.until": "the layers were taken over in the first task",
        **{
            f"data.augmentation.{name}": "the layers are taught in the first task"
            for name in ImageAugmentationConfig.model_fields
        },
        **{
            f"student.teaching.{name}": "likewise"
            for name in ("dimensions", "max_images", "num_views")
        },
        **{f"student.teaching.training.{name}": "likewise" for name in TrainingConfig.model_fields},
    },
    ("dual_teacher", _OFF, "teacher[1]"): {
        **_WITHOUT_VIEWS,
        **{
            f"teacher.augmentation.{name}": (
                "with a learning rate of 0 the vectors stay as they are drawn"
            )
            for name in ("diversity_weight", "margin", "num_steps", "separation_weight")
        },
    },
    **{
        ("dual_teacher", _OFF, f"student[{task}]"): {
            "student.anchor_weight": (
                "without both of its teachers the student's classifier has no anchors to stay near"
            ),
            "student.mixture_weight": (
                "without its embedding teacher the student imitates no mixtures"
            ),
            "student.transfer.progress_thresholds": (
                "without its classifier teacher only the real answers remain"
            ),
            "student.transfer.similarity_thresholds": "likewise",
            "student.transfer.ratios": "likewise",
            "student.transfer.per": "likewise",
        }
        for task in (0, 1)
    },
    **{
        (method, _OFF, f"{role}[1]"): _WITHOUT_VIEWS
        for method in ("nearest_class_mean", "analytic")
        for role in ("teacher", "student")
    },
    **{
        ("ranpac", variant, f"{role}[1]"): {
            "method.num_projections": (
                "the first task has drawn the projection, and that task's key is part of this one"
            ),
            **(_WITHOUT_VIEWS if variant == _OFF else {}),
        }
        for variant in VARIANTS
        for role in ("teacher", "student")
    },
    **{
        ("fecam", variant, f"{role}[1]"): _WITHOUT_VIEWS
        for variant in VARIANTS
        for role in ("teacher", "student")
    },
    **{
        ("lwf", variant, f"{role}[0]"): {
            f"method.{name}": "in the first task there is nothing to distil"
            for name in ("distillation_weight", "temperature")
        }
        for variant in VARIANTS
        for role in ("teacher", "student")
    },
}


class Watched(NamedTuple):
    """Fields that the training of one stage has read, and those that its key holds."""

    read: set[str]
    listed: set[str]


def watch(experiment: Experiment) -> dict[str, Watched]:
    """Train each role's first and second stage once, and record their reads."""
    work = prepare_work(experiment)
    stages = {stage.key: stage for stage in work.stages}
    models: dict[str, Model] = {}
    result: dict[str, Watched] = {}
    for stage in work.stages[:4]:
        reads = FieldReads(experiment)
        before = {stages[key].role: models[key] for key in stage.upstream}
        inputs = StageInputs(
            stage,
            experiment,
            work.scenario,
            Upstream(before.get(stage.role), before.get("teacher")),
        )
        context = LearningContext(
            experiment.seed, stage.name, torch.device("cpu"), experiment.data.augmentation
        )
        with reads.watching():
            models[stage.key] = compute_stage(inputs, context)
        result[stage.name] = Watched(reads.paths, set(leaves(listed_for(stage, experiment))))
    return result


def listed_for(stage: Stage, experiment: Experiment) -> dict[str, Any]:
    is_first = stage.task.index == 0 or experiment.method.kind == "joint"
    return configuration_read(stage.role, is_first, experiment)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def without_kinds(paths: set[str]) -> set[str]:
    """Remove `kind`: code usually checks the class of a variant and reads no field."""
    return {path for path in paths if path.rpartition(".")[2] != "kind"}


def merged(one: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings group by group; a group that names its kind replaces the old one."""
    inner = {
        name: merged(one[name], change)
        for name, change in changes.items()
        if isinstance(change, Mapping)
        and "kind" not in change
        and isinstance(one.get(name), Mapping)
    }
    return {**one, **changes, **inner}


@pytest.fixture(
    scope="module",
    params=[
        (method, variant)
        for method in METHODS
        for variant in VARIANTS
        # another method's student is built from the teacher's backbone, which is in its key
        if variant != INHERITED or method == "dual_teacher"
    ],
    ids=" with ".join,
)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    method, variant = request.param
    return str(method), str(variant)


@pytest.fixture(scope="module")
def watched(tiny_experiment: Experiment, setting: tuple[str, str]) -> dict[str, Watched]:
    method, variant = setting
    plain = merged(tiny_experiment.model_dump(mode="json"), VARIANTS[variant])
    # few images: the reads do not depend on the number of images
    plain = merged(plain, {"method": small(method), "data": {"validation_fraction": 0.9}})
    return watch(Experiment.model_validate(plain))


def test_every_field_that_a_stage_reads_is_in_its_key(watched: dict[str, Watched]) -> None:
    assert {name: stage.read - stage.listed for name, stage in watched.items()} == {
        name: set() for name in watched
    }


def test_every_field_in_a_stages_key_is_read(
    watched: dict[str, Watched], setting: tuple[str, str]
) -> None:
    unread = {name: without_kinds(stage.listed - stage.read) for name, stage in watched.items()}
    assert unread == {name: set(UNREAD.get((*setting, name), {})) for name in watched}


def test_reads_through_copies_are_recorded_but_not_those_of_pydantic(
    tiny_experiment: Experiment,
) -> None:
    experiment = Experiment.model_validate(tiny_experiment.model_dump())
    reads = FieldReads(experiment)
    with reads.watching():
        assert experiment == Experiment.model_validate(experiment.model_dump(mode="json"))
        assert without_kinds(reads.paths) == set()
        assert experiment.teacher.training.model_copy(update={"learning_rate": 0.5}).epochs == 1
        assert without_kinds(reads.paths) == {"teacher.training.epochs"}
        experiment.data.augmentation.scaled(2.0)
    scaled = {f"data.augmentation.{name}" for name in ImageAugmentationConfig.model_fields}
    assert without_kinds(reads.paths) == {"teacher.training.epochs", *scaled}
    assert experiment.seed == 0
    assert "seed" not in reads.paths
