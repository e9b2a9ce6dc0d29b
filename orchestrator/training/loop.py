"""The one epoch loop. What is learned comes in as a loss; where the batches come from, as a function of the epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from orchestrator.config.learning import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.errors import UserInputError
from orchestrator.training.context import EpochReport, LearningContext


@dataclass(frozen=True)
class LossOutput:
    """A loss and what it is made of.

    Attributes:
        total: The scalar that is minimised.
        parts: Values to report, by name.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Where a training stands.

    Attributes:
        index: Steps done, over all epochs of this training.
        num_steps: Steps in all.
        epoch: Counted from 0.
    """

    index: int
    num_steps: int
    epoch: int

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1)."""
        return self.index / self.num_steps


Loss = Callable[[Tensor, Step], LossOutput]


def train(
    phase: str,
    parameters: Sequence[nn.Parameter],
    batches: BalancedBatches,
    loss: Loss,
    config: TrainingConfig,
    context: LearningContext,
) -> None:
    """Minimises a loss with AdamW under a one-cycle learning rate, reporting the means of every epoch.

    Args:
        phase: What is being trained, for people.
        parameters: What may change.
        batches: Row numbers, epoch by epoch.
        loss: Of one batch, given how far the training is.
        config: Epochs and learning rate.
        context: Whom to report to.

    Raises:
        UserInputError: The loss is no longer finite: the learning rate is too high for this data.
    """
    num_steps = config.epochs * batches.num_batches
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    lr_scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=num_steps + 1)
    index = 0
    for epoch in range(config.epochs):
        sums: dict[str, float] = defaultdict(float)
        for batch in batches.epoch(epoch):
            output = loss(batch, Step(index, num_steps, epoch))
            optimizer.zero_grad(set_to_none=True)
            output.total.backward()
            optimizer.step()
            lr_scheduler.step()
            index += 1
            for name, value in {"loss": output.total.item(), **output.parts}.items():
                sums[name] += value / batches.num_batches
        if not torch.isfinite(torch.tensor(sums["loss"])):
            raise UserInputError(
                f"the loss is {sums['loss']} after epoch {epoch + 1} of {phase}",
                where=context.stage,
                next_step=f"lower the learning rate (now {config.learning_rate})",
            )
        context.reporter(EpochReport(phase, epoch + 1, config.epochs, dict(sums)))
