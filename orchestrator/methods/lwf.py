"""Learning without forgetting: train on each task's new classes, and let the network of the task
before say what the outputs for the old classes should stay (Li and Hoiem 2016).

    L = CE(new logits, labels) + λ · CE(softmax(old logits / T), softmax(previous logits / T))

over the images of the new classes; T and λ are the paper's temperature and λ_o (its equations 1 to
3 and its figure 3).

In the paper each task has an output layer of its own, and it is known which task a test image is
from. Here that is not known. The output layers become slices of one classifier: the cross-entropy
compares the new classes with each other only, as the paper's does, and predictions compare all
classes. A cross-entropy over all classes pushes the old ones away, which have no images: on
validation images it forgot them whatever the weight of the distillation. It is used only where a
task has one new class, since that cannot be compared with itself.

Where the teacher's extractor is pre-trained only the classifier learns. Its columns of old classes
then stay as they are, and distillation has nothing to do.

The paper trains the new output layer alone before it trains all layers. This is left out: new
classes start as random directions of a cosine classifier, whose logits are bounded, or at zero.
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
    """Distil the previous network's outputs on the new images."""

    def loss(self, experiment: Experiment, before: Callable[[Tensor], Tensor] | None) -> LogitsLoss:
        """Return plain cross-entropy in the first task, distillation beside it in later ones."""
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
