"""Count the image passes of a stage, from which the cost of the stage is estimated in advance. An
image pass is the processing of one image by a network.

Some results, such as trained layers, are computed once and shared by several stages. The image
passes for computing shared results are counted separately.
Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.data.scenario import Split
from orchestrator.methods.facts import (
    CountsPasses,
    SharedPasses,
    classes_learned,
    facts_of,
    inherits,
    is_judged_by_tables,
    is_pretrained,
    learns_from_unlabeled,
)
from orchestrator.stages.graph import Stage
from orchestrator.stages.stage_reading import TableKeys, num_training_images
from orchestrator.stages.work import Work


@dataclass(frozen=True)
class SharedWork:
    """The computation of a result that several stages share, such as trained layers.

    Attributes:
        key: Key that identifies the result when costs are estimated. The store uses another key for
            the result, because a store key depends on weights and pixels.
        passes: Image passes of the computation. In one image pass, a network processes one image.
    """

    key: str
    passes: SharedPasses


def num_image_passes(num_epochs: int, num_images: int) -> int:
    """Return the number of image passes of a stage: in one image pass, a network processes one
    image. A stage without epochs processes each image once.
    """
    return max(1, num_epochs) * num_images


def own_image_passes(stage: Stage, work: Work) -> int:
    """Return the number of a stage's own image passes, without the image passes for results that
    several stages share. In one image pass, a network processes one image.
    """
    experiment, is_first = work.experiment, stage.task.index == 0
    facts, images = facts_of(experiment), num_training_images(stage, experiment, work.scenario)
    if not isinstance(facts, CountsPasses):
        return num_image_passes(facts.num_epochs(stage.role, is_first, experiment), images)
    epochs = facts.num_own_epochs(stage.role, is_first, experiment)
    return num_image_passes(epochs, images * facts.passes_per_image(stage.role, experiment))


def shared_work_of(stage: Stage, work: Work, tables: TableKeys) -> list[SharedWork]:
    """Return the computations of the results that a stage reads and shares with other stages. The
    computations of results that only the evaluation of the stage reads come last.

    Args:
        stage: The stage.
        work: The experiment, images and stages of the run that contains the stage.
        tables: Keys of the run's feature tables; the keys identify the pre-trained extractor.
    """
    experiment, scenario, facts = work.experiment, work.scenario, facts_of(work.experiment)
    if stage.role == "teacher" or not isinstance(facts, CountsPasses):
        return []
    is_read = scenario.unlabeled is not None and learns_from_unlabeled(stage.role, experiment)
    unlabeled = len(scenario.unlabeled) if is_read and scenario.unlabeled is not None else 0
    images = num_training_images(stage, experiment, scenario)
    found = facts.shared_passes(stage.task.index == 0, experiment, images, unlabeled)
    classes = classes_learned(facts, stage.task)
    layers = _layers(work, tables) if found else {}
    learned = [
        _shared(passes, layers, () if passes.unlabeled else classes, work) for passes in found
    ]
    return [*learned, *(_judged(stage, work, layers) if found else ())]


def _judged(stage: Stage, work: Work, layers: dict[str, Any]) -> list[SharedWork]:
    """Return the computations of the features from which a student with inherited layers is judged
    (evaluated). Return none if feature tables contain these features.
    """
    if not inherits(work.experiment) or is_judged_by_tables("student", work.experiment):
        return []
    return [
        _shared(SharedPasses("extraction", "student", num), layers, [c], work, split)
        for c in range(stage.task.num_seen_classes)
        for split in (Split.VALIDATION, Split.TEST)
        if (num := len(work.scenario.indices[split][c]))
    ]


def _layers(work: Work, tables: TableKeys) -> dict[str, Any]:
    """Return everything that determines the layers that the student inherits from the teacher,
    including the training that the inherited layers may get.
    """
    experiment = work.experiment
    stages = (*work.learned, *work.stages)
    first = next((it.key for it in stages if (it.role, it.task.index) == ("teacher", 0)), None)
    is_known = is_pretrained("teacher", experiment)
    student, base = experiment.student, work.scenario.tasks[0].new_classes
    return {
        "teacher": tables.extractor_identity if is_known else first,
        "student": student.model_dump(mode="json", include={"backbone", "teaching"}),
        "is taught": student.embedding_weight > 0,
        "taught on": [work.scenario.fingerprint_of_images(Split.TRAIN, c) for c in base],
        "unlabeled": work.scenario.unlabeled and work.scenario.unlabeled.fingerprint,
        "seed": experiment.seed,
        "augmentation": experiment.data.augmentation.model_dump(mode="json"),
    }


def _shared(
    passes: SharedPasses,
    layers: dict[str, Any],
    classes: Sequence[int],
    work: Work,
    split: Split = Split.TRAIN,
) -> SharedWork:
    images = [work.scenario.fingerprint_of_images(split, c) for c in classes]
    content = [passes.kind, passes.network, passes.of_views, layers, images]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return SharedWork(digest, passes)
