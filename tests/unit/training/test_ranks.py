"""Training on several ranks: two real processes reach the result of one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.teacher.statistics import no_classes, with_class
from orchestrator.methods.method import LearningInputs, Model, method_of
from orchestrator.methods.views import features_by_class
from orchestrator.models import build_backbone
from orchestrator.stages.checkpoints import StoreCheckpoints
from orchestrator.stages.store import StageStore
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation
from orchestrator.training.ranks import ALONE, Ranks
from orchestrator.training.reports import EpochReport
from tests.waiting import PATIENCE_SECONDS

NUM_RANKS = 2
NUM_ROWS = [0, 1, 2, 3, 8, 9]
BATCH_SIZES = [2, 3, 4, 7]
VIEWS_AND_IMAGES = [(0, 5), (2, 5), (3, 8), (0, 1), (2, 1)]
METHODS = ["analytic", "ranpac", "fecam", "finetuning", "lwf"]
State = dict[str, Tensor]


# --- the work of each rank, and of a single process -----------------------------------------------


def gathered(ranks: Ranks, num_rows: int) -> Tensor:
    rows = torch.arange(3.0 * num_rows).view(num_rows, 3)
    return ranks.gather(ranks.share(rows), num_rows)


def network(*, normalized: bool = False) -> nn.Module:
    with seeded_initialisation(0, "network"):
        return nn.Sequential(
            nn.Linear(5, 8),
            *([nn.BatchNorm1d(8)] if normalized else []),
            nn.ReLU(),
            nn.Linear(8, 3),
        )


def trained(
    module: nn.Module, batch_size: int, context: LearningContext, breaks_off_in: int | None = None
) -> State:
    """Return the module's state after three epochs on 21 points of three classes, one of them
    rare.
    """
    labels = torch.tensor([0] * 10 + [1] * 8 + [2] * 3)
    points = torch.randn(len(labels), 5, generator=context.stream("points")) + labels[:, None]

    def loss(rows: Tensor, step: Step) -> LossOutput:
        if step.epoch == breaks_off_in:
            raise KeyboardInterrupt
        return LossOutput(functional.cross_entropy(module(points[rows]), labels[rows]))

    batches = BalancedBatches(labels, batch_size, partial(context.stream, "batches"))
    train(
        "extractor",
        [module],
        batches,
        loss,
        TrainingConfig(epochs=3, learning_rate=0.05, batch_size=batch_size),
        context,
    )
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def losses_reported(context: LearningContext) -> list[float]:
    reports: list[EpochReport] = []
    trained(network(), 7, replace(context, listener=reports.append))
    return [report.metrics["loss"] for report in reports]


def broken_off_and_resumed(context: LearningContext, folder: Path) -> State:
    """Interrupt a training and resume it. Every rank has its own store, as if it looked too early:
    only the first rank's store has checkpoints.
    """
    store = StageStore(str(folder / f"store of {context.ranks.index}"))
    context = replace(context, checkpoints=StoreCheckpoints(store, "key"))
    with pytest.raises(KeyboardInterrupt):
        trained(network(), 7, context, breaks_off_in=2)
    return trained(network(), 7, context)


def features_and_statistics(context: LearningContext, num_views: int, num_images: int) -> State:
    labels = torch.arange(num_images) % 2
    images = torch.randint(
        0, 256, (num_images, 1, 8, 8), dtype=torch.uint8, generator=context.stream("images")
    )
    with seeded_initialisation(0, "extractor"):
        extractor = build_backbone(SmallCnnTinyConfig(), (1, 8, 8))
    statistics = no_classes(extractor.num_features, rank=0)
    result: State = {}
    for label, of_class in enumerate(
        features_by_class(extractor, LabeledImages(images, labels), num_views, context)
    ):
        result |= {f"clean {label}": of_class.clean, f"views {label}": of_class.views}
        statistics = with_class(statistics, of_class, view_weight=40.0)
    return {
        **result,
        "means": statistics.means,
        "radii": statistics.radii,
        "covariance": statistics.covariance,
    }


def learned(kind: str, context: LearningContext) -> State:
    """Return a method's network after two tasks of two classes each."""
    training = {"epochs": 1, "batch_size": 3}
    teacher = {"backbone": {"kind": "small_cnn_tiny"}, "training": training, "num_views": 1}
    experiment = Experiment.model_validate({"method": {"kind": kind}, "teacher": teacher})
    model: Model | None = None
    for task in range(2):
        labels = torch.arange(10) % 2 + 2 * task
        images = torch.randint(
            0, 256, (10, 1, 8, 8), dtype=torch.uint8, generator=context.stream("images", task)
        )
        inputs = LearningInputs("teacher", LabeledImages(images, labels), experiment, model)
        model = method_of(experiment).learn(inputs, context)
    assert model is not None
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def all_results(ranks: Ranks, folder: Path) -> dict[str, Any]:
    context = LearningContext(0, "teacher[0]", ranks=ranks)
    return {
        "shares": [ranks.share(torch.arange(num)) for num in NUM_ROWS],
        "gathered": [gathered(ranks, num) for num in NUM_ROWS],
        "mean": ranks.mean([3.0, 6.0][ranks.index], [0.5, 1.5][ranks.index]),
        "from first": ranks.from_first(lambda: {"found by": ranks.index}),
        "trained": [trained(network(), batch_size, context) for batch_size in BATCH_SIZES],
        "with batch norm": trained(network(normalized=True), 7, context),
        "resumed": broken_off_and_resumed(context, folder),
        "losses reported": losses_reported(context),
        "features": [features_and_statistics(context, *numbers) for numbers in VIEWS_AND_IMAGES],
        **{kind: learned(kind, context) for kind in METHODS},
        "private draws": torch.rand(4, generator=context.stream_of_rank("views")),
        "common draws": torch.rand(4, generator=context.stream("views")),
    }


def be_one_of_the_ranks(index: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=index,
        world_size=NUM_RANKS,
        timeout=timedelta(seconds=PATIENCE_SECONDS),
    )
    torch.save(all_results(Ranks(index, NUM_RANKS), folder), folder / f"{index}.pt")
    distributed.destroy_process_group()
    # DistributedDataParallel keeps gloo's threads running after that, and an interpreter that ends
    # beside them sometimes aborts ("terminate called without an active exception").
    os._exit(0)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the results of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    processes = [
        subprocess.Popen([sys.executable, __file__, str(index), str(folder)])
        for index in range(NUM_RANKS)
    ]
    try:
        assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0] * NUM_RANKS
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"{index}.pt") for index in range(NUM_RANKS)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return all_results(ALONE, tmp_path_factory.mktemp("alone"))


def assert_close(found: State, expected: State, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance, msg=name)


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- one rank -------------------------------------------------------------------------------------


def test_on_a_single_rank_every_operation_is_the_identity() -> None:
    rows, module = torch.arange(10.0).view(5, 2), network(normalized=True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert ALONE.is_first
    assert torch.equal(ALONE.share(rows), rows)
    assert ALONE.gather(rows, 5) is rows
    assert ALONE.mean(3.0, 0.25) == 3.0
    assert ALONE.from_first(lambda: "value") == "value"
    assert ALONE.parallel(module) is module
    ALONE.align(module)
    assert equal(dict(module.state_dict()), before)


# --- two ranks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", range(len(NUM_ROWS)), ids=map(str, NUM_ROWS))
def test_every_rank_gets_all_rows_back_in_order(together: list[dict[str, Any]], case: int) -> None:
    expected = torch.arange(3.0 * NUM_ROWS[case]).view(NUM_ROWS[case], 3)
    assert sum(len(rank["shares"][case]) for rank in together) == NUM_ROWS[case]
    for rank in together:
        assert torch.equal(rank["gathered"][case], expected)


def test_the_mean_weights_each_ranks_number_by_its_share(together: list[dict[str, Any]]) -> None:
    # the first rank has a quarter of the rows and the value 3, the second three quarters and 6
    assert [rank["mean"] for rank in together] == [5.25, 5.25]


def test_every_rank_gets_the_first_ranks_result(together: list[dict[str, Any]]) -> None:
    assert [rank["from first"] for rank in together] == [{"found by": 0}, {"found by": 0}]


@pytest.mark.parametrize("case", range(len(BATCH_SIZES)), ids=map(str, BATCH_SIZES))
def test_training_on_two_ranks_gives_the_weights_of_one_rank(
    together: list[dict[str, Any]], alone: dict[str, Any], case: int
) -> None:
    assert not equal(alone["trained"][case], dict(network().state_dict()))
    for rank in together:
        assert_close(rank["trained"][case], alone["trained"][case], 1e-4)


@pytest.mark.parametrize("what", ["with batch norm", "resumed", *METHODS])
def test_all_ranks_end_with_the_same_state(together: list[dict[str, Any]], what: str) -> None:
    first, second = together
    assert equal(first[what], second[what])


def test_all_ranks_resume_from_the_first_ranks_checkpoint(together: list[dict[str, Any]]) -> None:
    # 7 is the batch size of the interrupted training
    for rank in together:
        assert equal(rank["resumed"], rank["trained"][BATCH_SIZES.index(7)])


def test_only_the_first_rank_reports_and_it_reports_the_means_over_all_ranks(
    together: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    first, second = together
    assert first["losses reported"] == pytest.approx(alone["losses reported"], rel=1e-4)
    assert len(first["losses reported"]) == 3
    assert second["losses reported"] == []


@pytest.mark.parametrize("case", range(len(VIEWS_AND_IMAGES)), ids=map(str, VIEWS_AND_IMAGES))
def test_features_and_class_statistics_equal_those_of_one_rank(
    together: list[dict[str, Any]], alone: dict[str, Any], case: int
) -> None:
    for rank in together:
        assert_close(rank["features"][case], alone["features"][case], 1e-5)
    assert equal(together[0]["features"][case], together[1]["features"][case])


def test_ranks_draw_differently_for_their_own_rows_and_equally_for_shared_values(
    together: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    first, second = together
    assert torch.equal(first["common draws"], second["common draws"])
    assert torch.equal(first["private draws"], alone["private draws"])
    assert not torch.equal(first["private draws"], second["private draws"])


if __name__ == "__main__":
    be_one_of_the_ranks(int(sys.argv[1]), Path(sys.argv[2]))
