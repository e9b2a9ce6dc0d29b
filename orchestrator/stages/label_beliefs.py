"""Judge the labels of the training images with a role's last model, and store the model's beliefs:
how probable each given label is, and which class is the most probable one.

Like the evaluation of a stage, beliefs are computed once, in the worker that has the model. The
worker processes the images that the run has learned from, or reads their features from feature
tables. Images of tasks that an earlier run learned are not judged, because they may no longer
exist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import torch
from torch import Tensor

from orchestrator.data.scenario import Scenario, Split
from orchestrator.evaluation.calibration import log_likelihoods
from orchestrator.evaluation.label_doubt import LabelBeliefs, beliefs_of
from orchestrator.methods.method import Model
from orchestrator.models.artifact import Artifact
from orchestrator.models.network import predict, predict_from_features
from orchestrator.stages.graph import Stage
from orchestrator.training.ranks import ALONE, Ranks

BELIEFS_FORMAT = 1
FeaturesOfClass = Callable[[int], Tensor]


def classes_believed(scenario: Scenario) -> range:
    """Return the classes for which beliefs (how probable each image's label is) are computed. These
    are the classes that this run itself learns.
    """
    start = scenario.tasks[scenario.num_learned_tasks].new_classes.start
    return range(start, scenario.tasks[-1].num_seen_classes)


def beliefs_key(stage: Stage, scenario: Scenario) -> str:
    """Return the key under which the beliefs of a role's last model are stored. Beliefs say how
    probable the labels of the training images are. The key covers the model and these images.
    """
    tasks = scenario.tasks[scenario.num_learned_tasks :]
    judged = [scenario.fingerprint_of(task) for task in tasks]
    content = ["beliefs", BELIEFS_FORMAT, stage.key, judged]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def judge_labels(
    model: Model,
    scenario: Scenario,
    ranks: Ranks = ALONE,
    features_of: FeaturesOfClass | None = None,
) -> LabelBeliefs:
    """Judge the labels of the training images with a model: compute how probable each label is, and
    which class is the most probable one. The classes are processed one after another.

    Only the images of one class are in memory at a time. Each rank processes its share of these
    images.

    Args:
        model: The model of the last task.
        scenario: The images.
        ranks: Rank of this worker in the group of workers that judge together.
        features_of: Returns the extractor's features of the training images of a class. If this is
            None, the model processes the images themselves.
    """
    likelihoods, answers = [], []
    for c in classes_believed(scenario):
        labels = scenario.targets_of(Split.TRAIN, [c])
        if not len(labels):
            continue
        if features_of is None:
            images = scenario.images_of(Split.TRAIN, [c]).images
            logits = predict(model.network, ranks.share(images))
        else:
            logits = predict_from_features(model.network, ranks.share(features_of(c)))
        gathered = ranks.gather(logits, len(labels))
        likelihoods.append(log_likelihoods(gathered, labels))
        answers.append(gathered.argmax(dim=1))
    return beliefs_of(torch.cat(likelihoods), torch.cat(answers))


def beliefs_as_artifact(beliefs: LabelBeliefs) -> Artifact:
    """Return beliefs (how probable each image's label is) as an artifact for the stage store."""
    return Artifact({"believed": beliefs.believed, "answers": beliefs.answers.int()})


def beliefs_from(artifact: Artifact) -> LabelBeliefs:
    """Rebuild beliefs (how probable each image's label is) from the artifact that
    `beliefs_as_artifact` returned.
    """
    return LabelBeliefs(artifact.tensors["believed"], artifact.tensors["answers"].long())
