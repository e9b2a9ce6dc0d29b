"""Determine the training images and the feature tables that a stage reads. A feature table has the
features of the images of one class and split.

Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.unlabeled import UNLABELED, UnlabeledPool
from orchestrator.methods.facts import (
    classes_learned,
    facts_of,
    is_judged_by_tables,
    is_pretrained,
    learns_from_unlabeled,
)
from orchestrator.models.backbones import backbone_identity
from orchestrator.stages.graph import Stage, tells_certainty

FEATURE_FORMAT = 4
ImagesOfClass = tuple[Split | Literal["unlabeled"], int]
"""The images of one feature table: a split and a class (its position in the class order), or
UNLABELED and the number of a part of the unlabelled images.
"""


def num_training_images(stage: Stage, experiment: Experiment, scenario: Scenario) -> int:
    """Return the number of training images that a stage reads."""
    classes = classes_learned(facts_of(experiment), stage.task)
    return sum(len(scenario.indices[Split.TRAIN][c]) for c in classes)


def tables_learned_from(
    stage: Stage, experiment: Experiment, scenario: Scenario
) -> list[ImagesOfClass]:
    """Return the feature tables that a stage learns from; tables of unlabelled images come last.
    Return none if the teacher's extractor is not pre-trained, or if the stage is that of a student
    that is not distilled.
    """
    method = facts_of(experiment)
    learned_by: Role = "teacher" if method.student_builds_on_teacher else stage.role
    if not is_pretrained(learned_by, experiment):
        return []
    labeled = [(Split.TRAIN, c) for c in classes_learned(method, stage.task)]
    is_read = learns_from_unlabeled(stage.role, experiment)
    return [*labeled, *(_unlabeled_tables(scenario) if is_read else ())]


def tables_judged_by(
    stage: Stage, experiment: Experiment, scenario: Scenario
) -> list[ImagesOfClass]:
    """Return the feature tables that a stage's evaluation reads; none if the stage's model has no
    pre-trained extractor.
    """
    if not is_judged_by_tables(stage.role, experiment):
        return []
    classes = range(stage.task.num_seen_classes)
    judging = [(split, c) for c in classes for split in (Split.VALIDATION, Split.TEST)]
    return [*judging, *(_unlabeled_tables(scenario) if tells_certainty(stage, scenario) else ())]


def tables_read_for(
    stage: Stage, experiment: Experiment, scenario: Scenario
) -> list[ImagesOfClass]:
    """Return all feature tables that a stage and its evaluation read."""
    judging = tables_judged_by(stage, experiment, scenario)
    return [*tables_learned_from(stage, experiment, scenario), *judging]


def _unlabeled_tables(scenario: Scenario) -> list[ImagesOfClass]:
    num_parts = 0 if scenario.unlabeled is None else len(scenario.unlabeled.parts)
    return [(UNLABELED, part) for part in range(num_parts)]


class TableKeys:
    """Determine the key and the size of each feature table of an experiment.

    Args:
        experiment: An experiment whose teacher has a pre-trained extractor.
        scenario: The images.
    """

    def __init__(self, experiment: Experiment, scenario: Scenario) -> None:
        self._experiment = experiment
        self._scenario = scenario

    def key_of(self, split: Split | Literal["unlabeled"], c: int) -> str:
        """Return the key of a feature table: a SHA-256 of everything that determines the table.

        Args:
            split: Split of the table's images, or UNLABELED.
            c: Class of the images in the split, or number of the part of the unlabelled images.
        """
        experiment, num_views = self._experiment, self._num_views(split)
        varied: dict[str, Any] = {
            "augmentation": experiment.data.augmentation.model_dump(mode="json"),
            "seed": experiment.seed,
        }
        content = {
            "format": FEATURE_FORMAT,
            "backbone": self.extractor_identity,
            "images": self._pool.parts[c].fingerprint
            if split == UNLABELED
            else self._scenario.fingerprint_of_images(split, c),
            "views": {"num_views": num_views, "class": self._scenario.class_names[c], **varied}
            if num_views
            else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def num_images_of(self, split: Split | Literal["unlabeled"], c: int) -> int:
        """Return the number of images that the extractor processes to compute a feature table.
        Augmented copies count as images. The arguments are those of `key_of`.
        """
        if split == UNLABELED:
            return len(self._pool.parts[c].rows)
        return len(self._scenario.indices[split][c]) * (1 + self._num_views(split))

    @cached_property
    def extractor_identity(self) -> dict[str, Any]:
        """Return the identity of the teacher's backbone and of the backbone's weights."""
        return backbone_identity(self._experiment.teacher.backbone)

    @property
    def _pool(self) -> UnlabeledPool:
        assert self._scenario.unlabeled is not None  # noqa: S101 - such tables exist only for unlabelled images
        return self._scenario.unlabeled

    def _num_views(self, split: str) -> int:
        return self._experiment.teacher.num_views if split == Split.TRAIN else 0
