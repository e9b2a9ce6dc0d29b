"""The one epoch loop: it minimises, reports every epoch, and stops at a non-finite loss."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.errors import OrchestratorError
from orchestrator.stages.checkpoints import StoreCheckpoints
from orchestrator.stages.store import StageStore
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation
from orchestrator.training.reports import EpochReport

LABELS = torch.tensor([0, 0, 0, 1, 1, 1])


class Problem:
    """Problem that pulls one number towards 3 and records the reports it receives."""

    def __init__(self, batch_size: int = 2) -> None:
        self.parameter = nn.Parameter(torch.zeros(()))
        self.steps: list[Step] = []
        self.losses: list[float] = []
        self.reports: list[EpochReport] = []
        self.context = LearningContext(0, "teacher[0]", listener=self.reports.append)
        self.batches = BalancedBatches(
            LABELS, batch_size, lambda epoch: self.context.stream("batches", epoch)
        )

    def loss(self, rows: Tensor, step: Step) -> LossOutput:
        self.steps.append(step)
        total = (self.parameter - 3).square()
        self.losses.append(total.item())
        return LossOutput(total, {"rows": float(len(rows)), "index": float(step.index)})

    def train(self, **config: float) -> None:
        train(
            "extractor",
            [nn.ParameterList([self.parameter])],
            self.batches,
            self.loss,
            TrainingConfig.model_validate(config),
            self.context,
        )


def test_training_minimises_the_loss() -> None:
    problem = Problem()
    problem.train(epochs=60, learning_rate=0.5, weight_decay=0)
    assert problem.parameter.item() == pytest.approx(3, abs=0.05)


def test_weight_decay_shrinks_the_parameter() -> None:
    free, held = Problem(), Problem()
    free.train(epochs=60, learning_rate=0.5, weight_decay=0)
    held.train(epochs=60, learning_rate=0.5, weight_decay=1)
    assert held.parameter.item() < free.parameter.item() - 0.1


def test_every_epoch_is_reported_with_the_means_of_its_batches() -> None:
    problem = Problem()
    problem.train(epochs=3, learning_rate=0.1)
    assert [(report.phase, report.epoch, report.num_epochs) for report in problem.reports] == [
        ("extractor", n, 3) for n in (1, 2, 3)
    ]
    # 6 rows in batches of 2: steps 0-2, 3-5, 6-8
    assert [report.metrics["index"] for report in problem.reports] == pytest.approx([1, 4, 7])
    assert [report.metrics["rows"] for report in problem.reports] == pytest.approx([2, 2, 2])
    means = [sum(problem.losses[start : start + 3]) / 3 for start in (0, 3, 6)]
    assert [report.metrics["loss"] for report in problem.reports] == pytest.approx(means)


def test_tensor_parts_are_reported_like_numbers() -> None:
    problem = Problem()

    def loss(rows: Tensor, step: Step) -> LossOutput:
        return LossOutput(
            (problem.parameter - 3).square(),
            {"tensor": torch.tensor(step.index + 0.5), "number": step.index + 0.5},
        )

    train(
        "extractor",
        [nn.ParameterList([problem.parameter])],
        problem.batches,
        loss,
        TrainingConfig(epochs=1),
        problem.context,
    )
    assert (
        problem.reports[0].metrics["tensor"]
        == problem.reports[0].metrics["number"]
        == pytest.approx(1.5)
    )


def test_steps_count_over_all_epochs_and_progress_stays_below_one() -> None:
    problem = Problem()
    problem.train(epochs=2)
    assert [step.index for step in problem.steps] == list(range(6))
    assert [step.epoch for step in problem.steps] == [0, 0, 0, 1, 1, 1]
    assert {step.num_steps for step in problem.steps} == {6}
    assert [step.progress for step in problem.steps] == pytest.approx(
        [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_loss_is_an_error_with_stage_and_advice(value: float) -> None:
    problem = Problem()

    def loss(rows: Tensor, step: Step) -> LossOutput:
        return LossOutput((problem.parameter + 1) * (value if step.epoch == 1 else 1))

    with pytest.raises(
        OrchestratorError,
        match=(
            r"teacher\[0\]: the loss is (nan|inf) after epoch 2 of extractor; lower the learning"
            r" rate"
        ),
    ) as error:
        train(
            "extractor",
            [nn.ParameterList([problem.parameter])],
            problem.batches,
            loss,
            TrainingConfig(epochs=3),
            problem.context,
        )
    assert error.value.exit_code == 2
    assert len(problem.reports) == 1


# --- resuming after an interruption ---------------------------------------------------------------

NUM_EPOCHS = 4


def plain_network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


def network_with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def network_with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))


NETWORKS = [plain_network, network_with_batch_norm, network_with_dropout]


class Training:
    """A training on noisy points whose epochs can be interrupted; every attempt starts with a new
    network and a new store object.
    """

    def __init__(self, folder: Path, build: Callable[[], nn.Module]) -> None:
        self.folder = folder
        self.build = build
        self.num_steps = 0

    def run(
        self, phase: str = "extractor", interrupted_after: int | None = None
    ) -> tuple[dict[str, Tensor], list[EpochReport]]:
        reports: list[EpochReport] = []

        def report(epoch: EpochReport) -> None:
            reports.append(epoch)
            if epoch.epoch == interrupted_after:
                raise KeyboardInterrupt

        checkpoints = StoreCheckpoints(StageStore(str(self.folder)), "key")
        context = LearningContext(0, "teacher[0]", listener=report, checkpoints=checkpoints)
        points = torch.randn(len(LABELS), 3, generator=context.stream("points"))
        with seeded_initialisation(0, "network"):
            network = self.build()

        def loss(rows: Tensor, step: Step) -> LossOutput:
            self.num_steps += 1
            noise = torch.randn(len(rows), 3, generator=context.stream_of_rank("noise", step.index))
            return LossOutput(
                functional.cross_entropy(network(points[rows] + noise), LABELS[rows]),
                {"index": float(step.index)},
            )

        batches = BalancedBatches(LABELS, 2, partial(context.stream, "batches"))
        config = TrainingConfig(epochs=NUM_EPOCHS, learning_rate=0.05, weight_decay=0.01)
        try:
            train(phase, [network], batches, loss, config, context)
        except KeyboardInterrupt:
            assert interrupted_after is not None
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}, reports


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("epoch", range(1, NUM_EPOCHS + 1))
def test_a_resumed_training_ends_bit_for_bit_like_an_uninterrupted_one(
    tmp_path: Path, build: Callable[[], nn.Module], epoch: int
) -> None:
    expected, reports = Training(tmp_path / "uninterrupted", build).run()
    training = Training(tmp_path / "interrupted", build)
    unfinished, _ = training.run(interrupted_after=epoch)
    assert equal(unfinished, expected) == (epoch == NUM_EPOCHS)
    found, received = training.run()
    assert equal(found, expected)
    assert received == reports
    # 6 rows in batches of 2, and no step is repeated
    assert training.num_steps == 3 * NUM_EPOCHS


def test_layers_that_draw_from_torchs_generator_follow_the_seed(tmp_path: Path) -> None:
    """Dropout draws from torch's global generator, which differs between processes."""
    found = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        weights, _ = Training(tmp_path / str(global_seed), network_with_dropout).run()
        found.append(weights)
        assert torch.equal(
            torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(global_seed))
        ), "it is left as it was"
    assert equal(*found)


def test_a_training_may_be_interrupted_in_any_epoch(tmp_path: Path) -> None:
    expected, reports = Training(tmp_path / "uninterrupted", network_with_batch_norm).run()
    training = Training(tmp_path / "interrupted", network_with_batch_norm)
    for epoch in range(1, NUM_EPOCHS):
        _, received = training.run(interrupted_after=epoch)
        assert received == reports[:epoch]
    found, received = training.run()
    assert equal(found, expected)
    assert received == reports


def test_a_finished_phase_is_not_trained_again_but_another_phase_is(tmp_path: Path) -> None:
    training = Training(tmp_path, plain_network)
    first, reports = training.run("extractor")
    done = training.num_steps
    again, received = training.run("extractor")
    assert training.num_steps == done
    assert equal(again, first)
    assert received == reports
    training.run("embedding")
    assert training.num_steps == 2 * done
