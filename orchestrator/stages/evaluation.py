"""How good a stage's model is: one row of the accuracy matrices. It is computed once, like the
stage itself, and kept in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

from torch import Tensor

from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.unlabeled import UNLABELED, UnlabeledPool
from orchestrator.evaluation.certainty import Certainty, certainty_of
from orchestrator.evaluation.classification import accuracies
from orchestrator.methods.method import Model
from orchestrator.models.artifact import Artifact
from orchestrator.models.network import predict, predict_from_features
from orchestrator.stages.graph import Stage, tells_certainty
from orchestrator.training.ranks import ALONE, Ranks

Rows = dict[Split, list[float]]
FeaturesOf = Callable[[Split | Literal["unlabeled"], Sequence[int]], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """A model after a task.

    Attributes:
        rows: Accuracy on every seen task, by split; no row for a split without images.
        sample_accuracy: Accuracy over all seen test samples.
        predictions: Predicted class of every seen test sample.
        num_parameters: Of the network.
        details: Further figures that the method gives about how the model was learned.
        certainty: How many images without labels the model assigns to each class; None where that
            is not asked.
    """

    rows: Rows
    sample_accuracy: float
    predictions: Tensor
    num_parameters: int
    details: Mapping[str, float]
    certainty: Certainty | None = None

    def as_artifact(self) -> Artifact:
        """For the stage store."""
        values: dict[str, Any] = {
            "rows": {split.value: row for split, row in self.rows.items()},
            "sample_accuracy": self.sample_accuracy,
            "num_parameters": self.num_parameters,
            **self.details,
        }
        tensors = {"predictions": self.predictions}
        if self.certainty is not None:
            tensors |= {"assigned": self.certainty.assigned, "sure": self.certainty.sure}
        return Artifact(tensors, values)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Evaluation:
        """What `as_artifact` was made of."""
        values = dict(artifact.values)
        rows = {Split(split): row for split, row in values.pop("rows").items()}
        known = {name: values.pop(name) for name in ("sample_accuracy", "num_parameters")}
        tensors = dict(artifact.tensors)
        predictions = tensors.pop("predictions")
        certainty = Certainty(**tensors) if tensors else None
        # version 0.1 stored None for figures that the method does not give
        details = {name: value for name, value in values.items() if value is not None}
        return cls(
            rows=rows, predictions=predictions, details=details, certainty=certainty, **known
        )


def evaluate(
    model: Model,
    stage: Stage,
    scenario: Scenario,
    ranks: Ranks = ALONE,
    features_of: FeaturesOf | None = None,
) -> Evaluation:
    """Tests a model on all tasks so far; each rank predicts its share of the images.

    Args:
        model: After the stage.
        stage: Of which task.
        scenario: The images.
        ranks: This worker among those that evaluate together.
        features_of: What the model's extractor makes of the images of a split and some classes, or
            of some parts of those without labels, where that is known already.
    """
    seen = [task.new_classes for task in scenario.tasks[: stage.task.index + 1]]
    rows: Rows = {}
    for split in (Split.VALIDATION, Split.TEST):
        classes = range(stage.task.num_seen_classes)
        targets = scenario.targets_of(split, classes)
        if not len(targets):
            continue
        if features_of is None:
            logits = predict(model.network, ranks.share(scenario.images_of(split, classes).images))
        else:
            logits = predict_from_features(model.network, ranks.share(features_of(split, classes)))
        predictions = ranks.gather(logits.argmax(dim=1), len(targets))
        result = accuracies(predictions, targets, seen)
        rows[split] = result.by_task
    return Evaluation(
        rows,
        result.over_samples,
        predictions,
        model.network.num_parameters(),
        model.details,
        _certainty(model, scenario.unlabeled, ranks, features_of)
        if scenario.unlabeled is not None and tells_certainty(stage, scenario)
        else None,
    )


def _certainty(
    model: Model, pool: UnlabeledPool, ranks: Ranks, features_of: FeaturesOf | None
) -> Certainty:
    """Looks at one part of the images without labels after the other."""
    found: list[Certainty] = []
    for part in range(pool.num_parts):
        if features_of is None:
            logits = predict(model.network, ranks.share(pool.images_of_part(part)))
        else:
            known = features_of(UNLABELED, [part])
            logits = predict_from_features(model.network, ranks.share(known))
        found.append(certainty_of(ranks.gather(logits, pool.num_images_of_part(part))))
    return reduce(add, found)
