"""Evaluate the model of a stage. An evaluation contains one row of the role's accuracy matrix for
each split. Like the stage itself, the evaluation is computed once and kept in the stage store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any, Literal

from torch import Tensor

from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.unlabeled import UNLABELED, PoolPart, UnlabeledPool
from orchestrator.evaluation.calibration import likeliest_factor, log_likelihoods
from orchestrator.evaluation.certainty import Certainty, certainty_of
from orchestrator.evaluation.classification import accuracies
from orchestrator.methods.method import Model
from orchestrator.models.artifact import Artifact
from orchestrator.models.network import predict, predict_from_features
from orchestrator.stages.cost_notes import SHARED
from orchestrator.stages.graph import Stage, tells_certainty
from orchestrator.training.ranks import ALONE, Ranks

Rows = dict[Split, list[float]]
FeaturesOf = Callable[[Split | Literal["unlabeled"], Sequence[int]], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model after a task.

    Attributes:
        rows: Accuracy on every seen task, by split; no row for a split without images.
        sample_accuracy: Accuracy over all seen test samples.
        predictions: Predicted class of every seen test sample.
        num_parameters: Number of parameters of the network.
        details: Further values that the method reports about the learning, by name.
        certainty: Number of unlabelled images that the model assigns to each class; None if this
            number was not requested.
    """

    rows: Rows
    sample_accuracy: float
    predictions: Tensor
    num_parameters: int
    details: Mapping[str, float]
    certainty: Certainty | None = None

    def as_artifact(self) -> Artifact:
        """Return the evaluation as an artifact, for the stage store."""
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
        """Rebuild an evaluation from the artifact that `as_artifact` returned."""
        values = {name: value for name, value in artifact.values.items() if name != SHARED}
        rows = {Split(split): row for split, row in values.pop("rows").items()}
        known = {name: values.pop(name) for name in ("sample_accuracy", "num_parameters")}
        tensors = dict(artifact.tensors)
        predictions = tensors.pop("predictions")
        certainty = Certainty(**tensors) if tensors else None
        # Omit values that are None. Artifacts of version 0.1 contain None for each value that the
        # method does not report; newer artifacts do not contain such values.
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
    """Test a model on all tasks learned so far; each rank predicts its share of the images.

    Args:
        model: The model after the stage.
        stage: The stage that learned the model.
        scenario: Scenario with the validation, test and unlabelled images.
        ranks: Rank of this worker in the group of workers that evaluate together.
        features_of: Returns the extractor's features of the images in some classes of a split, or
            in some parts of the unlabelled images. If this is None, the model processes the images
            themselves.
    """
    seen = [task.new_classes for task in scenario.tasks[: stage.task.index + 1]]
    classes, looking = range(stage.task.num_seen_classes), _Looking(model, ranks, features_of)
    rows: Rows = {}
    factors: list[float] = []
    for split in (Split.VALIDATION, Split.TEST):
        targets = scenario.targets_of(split, classes)
        if not len(targets):
            continue
        logits = looking.at(
            split, classes, len(targets), partial(_images_of, scenario, split, classes)
        )
        predictions = logits.argmax(dim=1)
        result = accuracies(predictions, targets, seen)
        rows[split] = result.by_task
        if tells_certainty(stage, scenario):
            factors.append(likeliest_factor(log_likelihoods(logits, targets))[1])
    certainty = (
        looking.certainty(scenario.unlabeled, factors[0])
        if scenario.unlabeled is not None and factors
        else None
    )
    num_parameters = model.network.num_parameters()
    return Evaluation(
        rows, result.over_samples, predictions, num_parameters, model.details, certainty
    )


@dataclass(frozen=True)
class _Looking:
    """Compute the logits of images with a model. If the features of the images are known, the model
    processes the features instead of the images. Each rank processes its share.
    """

    model: Model
    ranks: Ranks
    features_of: FeaturesOf | None

    def at(
        self,
        split: Split | Literal["unlabeled"],
        classes: Sequence[int],
        num: int,
        images: Callable[[], Tensor],
    ) -> Tensor:
        """Return the logits of the images in some classes of a split. Every rank gets all logits.

        Args:
            split: Split of the images.
            classes: Classes of the images; for unlabelled images, numbers of their parts.
            num: Number of images.
            images: Reads the images; called only if the features of the images are unknown.
        """
        network, ranks = self.model.network, self.ranks
        if self.features_of is None:
            logits = predict(network, ranks.share(images()))
        else:
            logits = predict_from_features(network, ranks.share(self.features_of(split, classes)))
        return ranks.gather(logits, num)

    def certainty(self, pool: UnlabeledPool, factor: float) -> Certainty:
        """Return how many unlabelled images the model assigns to each class, and how many of these
        assignments have a high probability. Only one part of the images is processed at a time.

        Args:
            pool: The unlabelled images.
            factor: Factor for the logits, so that their softmax gives calibrated probabilities.
        """
        return reduce(
            add,
            [
                certainty_of(
                    factor
                    * self.at(UNLABELED, [number], len(part.kept), partial(_images_in, pool, part))
                )
                for number, part in enumerate(pool.parts)
            ],
        )


def _images_of(scenario: Scenario, split: Split, classes: Sequence[int]) -> Tensor:
    return scenario.images_of(split, classes).images


def _images_in(pool: UnlabeledPool, part: PoolPart) -> Tensor:
    return pool.copy_of(part.rows[part.kept])
