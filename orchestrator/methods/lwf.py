"""Learning without forgetting (Li and Hoiem 2016): train on each task's new classes, and keep the
outputs for old classes close to those of the previous task's network.

    L = CE(new logits, labels) + λ · CE(softmax(old logits / T), softmax(previous logits / T))

The loss is computed on images of the new classes. T and λ are the paper's temperature and λ_o
(equations 1 to 3 and figure 3 of the paper).

In the paper each task has an output layer of its own, and the task of a test image is known. Here
the task is unknown, so the output layers are slices of one classifier. The cross-entropy compares
the new classes only with each other, as in the paper; predictions compare all classes. A
cross-entropy over all classes would lower the logits of the old classes, which have no images. On
validation images, the network then forgot the old classes at every weight of the distillation. Only
if a task has a single new class, the cross-entropy covers all classes, because a single class
cannot be compared with itself.

If the teacher's extractor is pre-trained, only the classifier learns. The classifier's columns of
old classes then do not change, and distillation has no effect.

The paper trains the new output layer alone before it trains all layers. This implementation skips
that step. New classes start at random directions of a cosine classifier, whose logits are bounded,
or at zero in a linear classifier.
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
    """Train on new classes, and distil the previous network's outputs for the new images."""

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
