"""Run the epoch loop that all methods share. The caller provides the loss, and the batches of each
epoch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.errors import UserInputError
from orchestrator.training.checkpoints import EpochCheckpoint
from orchestrator.training.context import LearningContext
from orchestrator.training.random_streams import seeded_layers
from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class LossOutput:
    """A loss and its parts.

    Attributes:
        total: The scalar to minimise.
        parts: Values to report, by name. Tensors are read only at the end of the epoch, so that no
            step waits for a GPU.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, float | Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The position of a step in its training.

    Attributes:
        index: Number of completed steps over all epochs of the training.
        num_steps: Total number of steps of the training.
        epoch: Number of the current epoch, counted from 0.
    """

    index: int
    num_steps: int
    epoch: int

    @property
    def progress(self) -> float:
        """Return the completed share of the training, in [0, 1)."""
        return self.index / self.num_steps


Loss = Callable[[Tensor, Step], LossOutput]


class _Objective(nn.Module):
    """Loss wrapped as a module. DistributedDataParallel averages gradients over ranks only if the
    wrapped module's `forward` is called, and a loss may call other methods of the trained modules.
    """

    def __init__(self, trained: nn.ModuleList, loss: Loss) -> None:
        super().__init__()
        self.trained = trained
        self.loss = loss

    def forward(self, rows: Tensor, step: Step) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        output = self.loss(rows, step)
        return output.total, output.parts


def train(
    phase: str,
    modules: Sequence[nn.Module],
    batches: BalancedBatches,
    loss: Loss,
    config: TrainingConfig,
    context: LearningContext,
) -> None:
    """Minimise a loss with AdamW under a one-cycle learning rate, and report the mean of the loss
    and of each of its parts for every epoch.

    The batches do not depend on the number of ranks: each rank processes its share of every batch,
    and gradients are averaged over ranks. A checkpoint is stored after every epoch, and training
    resumes from the newest checkpoint, if one exists.

    Args:
        phase: Name of this training for display, unique within the stage.
        modules: The modules to train.
        batches: The batches of every epoch, as row numbers.
        loss: Computes the loss of one batch, given its rows and the position in the training.
        config: Epochs and learning rate.
        context: Provides the listener, the checkpoints and the ranks.

    Raises:
        UserInputError: The loss is not finite, because the learning rate is too high for this data.
    """
    ranks, num_batches = context.ranks, batches.num_batches
    trained = nn.ModuleList(modules)
    num_steps = config.epochs * num_batches
    optimizer = torch.optim.AdamW(
        trained.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    lr_scheduler = OneCycleLR(optimizer, config.learning_rate, total_steps=num_steps + 1)
    reports = _go_on(phase, trained, optimizer, lr_scheduler, context)
    objective = ranks.parallel(_Objective(trained, loss))
    for epoch in range(len(reports), config.epochs):
        means = _EpochMeans(num_batches)
        with seeded_layers(context.stream_of_rank(phase, "layers", epoch), context.device):
            for number, batch in enumerate(batches.epoch(epoch)):
                share = ranks.share(batch)
                weight = len(share) * ranks.size / len(batch)
                total, parts = objective(
                    share, Step(epoch * num_batches + number, num_steps, epoch)
                )
                optimizer.zero_grad(set_to_none=True)
                (total * weight).backward()
                optimizer.step()
                lr_scheduler.step()
                means.add({"loss": total.detach(), **parts}, weight)
        report = EpochReport(
            phase,
            epoch + 1,
            config.epochs,
            {name: ranks.mean(value) for name, value in means.read().items()},
        )
        _check_finite(report, config, context)
        reports.append(report)
        if ranks.is_first:
            state = EpochCheckpoint(
                tuple(reports),
                trained.state_dict(),
                optimizer.state_dict(),
                lr_scheduler.state_dict(),
            )
            context.checkpoints.save(phase, state)
            context.listener(report)
    ranks.align(trained)


class _EpochMeans:
    """Accumulate weighted means of reported values over an epoch's steps."""

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self._terms: dict[str, list[tuple[float | Tensor, float]]] = defaultdict(list)

    def add(self, values: Mapping[str, float | Tensor], weight: float) -> None:
        for name, value in values.items():
            self._terms[name].append((value, weight))

    def read(self) -> dict[str, float]:
        return {
            name: self._sum(*zip(*terms, strict=True)) / self._num_steps
            for name, terms in self._terms.items()
        }

    @staticmethod
    def _sum(values: Sequence[float | Tensor], weights: Sequence[float]) -> float:
        on_device = [value for value in values if isinstance(value, Tensor)]
        numbers = (
            torch.stack(on_device).tolist() if on_device else values
        )  # tolist waits for the device once per epoch instead of once per step
        return float(sum(value * weight for value, weight in zip(numbers, weights, strict=True)))


def _check_finite(report: EpochReport, config: TrainingConfig, context: LearningContext) -> None:
    if not math.isfinite(report.metrics["loss"]):
        raise UserInputError(
            f"the loss is {report.metrics['loss']} after epoch {report.epoch} of {report.phase}",
            where=context.stage,
            next_step=f"lower the learning rate (now {config.learning_rate})",
        )


def _go_on(
    phase: str,
    trained: nn.ModuleList,
    optimizer: torch.optim.Optimizer,
    lr_scheduler: OneCycleLR,
    context: LearningContext,
) -> list[EpochReport]:
    """Restore the state of the newest checkpoint, if there is one. Send the reports of the restored
    epochs to the listener again, and return these reports.
    """
    checkpoint = context.ranks.from_first(lambda: context.checkpoints.restore(phase))
    if checkpoint is None or not _fits(checkpoint, trained, optimizer):
        return []
    trained.load_state_dict(dict(checkpoint.modules))
    optimizer.load_state_dict(dict(checkpoint.optimizer))
    lr_scheduler.load_state_dict(dict(checkpoint.lr_scheduler))
    if context.ranks.is_first:
        for report in checkpoint.reports:
            context.listener(report)
    return list(checkpoint.reports)


def _fits(
    checkpoint: EpochCheckpoint, trained: nn.Module, optimizer: torch.optim.Optimizer
) -> bool:
    """Return whether a checkpoint can be loaded. Its tensors must have the same shapes as those of
    the trained modules.
    """
    shapes = [it.shape for group in optimizer.param_groups for it in group["params"]]
    states: Mapping[int, Mapping[str, Tensor]] = checkpoint.optimizer["state"]
    return {name: it.shape for name, it in checkpoint.modules.items()} == {
        name: it.shape for name, it in trained.state_dict().items()
    } and all(
        0 <= index < len(shapes) and all(it.shape in ((), shapes[index]) for it in state.values())
        for index, state in states.items()
    )
