"""Learning without forgetting: train on each task's new classes, and keep the outputs for the old
classes close to those of the previous task's network (Li and Hoiem 2016).

    L = CE(new logits, labels) + λ · CE(softmax(old logits / T), softmax(previous logits / T))

over the images of the new classes; T and λ are the paper's temperature and λ_o (its equations 1 to
3 and its figure 3).

In the paper each task has an output layer of its own, and the task of a test image is known. Here
it is unknown. The output layers become slices of one classifier: the cross-entropy compares the new
classes with each other only, as in the paper, and predictions compare all classes. A cross-entropy
over all classes would push away the old ones, which have no images: on validation images the
network forgot them for every weight of the distillation. The cross-entropy over all classes is used
only if a task has one new class, since a single class cannot be compared with itself.

Where the teacher's extractor is pre-trained, only the classifier learns. The classifier's columns
of old classes then do not change, and distillation has no effect.

The paper trains the new output layer alone before it trains all layers. This implementation skips
that step: new classes start as random directions of a cosine classifier, whose logits are bounded,
or at zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import LwfConfig
from orchestrator.methods.networks import LogitsLoss, TrainedNetwork


class LearningWithoutForgetting(TrainedNetwork):
    """Distil the previous network's outputs for the new images."""

    def loss(self, experiment: Experiment, before: Callable[[Tensor], Tensor] | None) -> LogitsLoss:
        """Return the cross-entropy; after the first task, the distillation loss is added."""
        if before is None:
            return super().loss(experiment, before)
        config = experiment.method
        assert isinstance(config, LwfConfig)  # noqa: S101 - for the type checker

        def loss(logits: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                previous = before(inputs)
            num_old = previous.shape[1]
            first = num_old if logits.shape[1] > num_old + 1 else 0
            classification = functional.cross_entropy(logits[:, first:], labels - first)
            targets = functional.softmax(previous / config.temperature, dim=1)
            distillation = functional.cross_entropy(
                logits[:, :num_old] / config.temperature, targets
            )
            return classification + config.distillation_weight * distillation

        return loss


METHOD = LearningWithoutForgetting()
