"""Epoch checkpoints in the stage store: restored bit for bit, or not at all."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from orchestrator.stages.checkpoints import StoreCheckpoints
from orchestrator.stages.store import StageStore
from orchestrator.training.checkpoints import EpochCheckpoint, EpochCheckpoints, NoCheckpoints
from orchestrator.training.random_streams import seeded_initialisation
from orchestrator.training.reports import EpochReport

KEY = "b" * 64
NUM_STEPS = 10


class Halfway:
    """A network with batch normalisation and an unused parameter, its optimiser and learning rate
    after some steps.
    """

    def __init__(self, num_steps: int) -> None:
        with seeded_initialisation(0, "network"):
            self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
            self.network.register_parameter("unused", nn.Parameter(torch.ones(2)))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1, weight_decay=0.3)
        self.lr_scheduler = OneCycleLR(self.optimizer, 0.1, total_steps=NUM_STEPS + 1)
        for number in range(num_steps):
            self.step(number)

    def step(self, number: int) -> None:
        points = torch.randn(6, 3, generator=torch.Generator().manual_seed(number))
        self.optimizer.zero_grad(set_to_none=True)
        self.network(points).square().mean().backward()
        self.optimizer.step()
        self.lr_scheduler.step()

    def checkpoint(self) -> EpochCheckpoint:
        reports = tuple(
            EpochReport("student", epoch, 3, {"loss": 1 / (3 * epoch), "kdr": 1e-17})
            for epoch in (1, 2)
        )
        return EpochCheckpoint(
            reports,
            self.network.state_dict(),
            self.optimizer.state_dict(),
            self.lr_scheduler.state_dict(),
        )

    def take_up(self, checkpoint: EpochCheckpoint) -> None:
        self.network.load_state_dict(dict(checkpoint.modules))
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        self.lr_scheduler.load_state_dict(dict(checkpoint.lr_scheduler))


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(str(tmp_path / "store"))


@pytest.fixture
def checkpoints(store: StageStore) -> StoreCheckpoints:
    return StoreCheckpoints(store, KEY)


def restored(checkpoints: EpochCheckpoints, phase: str = "student") -> EpochCheckpoint:
    checkpoint = checkpoints.restore(phase)
    assert checkpoint is not None
    return checkpoint


def test_a_checkpoint_is_restored_bit_for_bit(checkpoints: StoreCheckpoints) -> None:
    saved = Halfway(num_steps=4).checkpoint()
    checkpoints.save("student", saved)
    found = restored(checkpoints)
    assert found.reports == saved.reports
    assert found.modules.keys() == saved.modules.keys()
    for name, tensor in saved.modules.items():
        assert torch.equal(found.modules[name], tensor)
        assert found.modules[name].dtype == tensor.dtype
    assert found.optimizer["state"].keys() == saved.optimizer["state"].keys()
    for parameter, state in saved.optimizer["state"].items():
        assert found.optimizer["state"][parameter].keys() == state.keys()
        for quantity, tensor in state.items():
            assert torch.equal(found.optimizer["state"][parameter][quantity], tensor)


def test_optimiser_and_learning_rate_resume_as_if_uninterrupted(
    checkpoints: StoreCheckpoints,
) -> None:
    expected, found = Halfway(num_steps=4), Halfway(num_steps=0)
    checkpoints.save("student", expected.checkpoint())
    found.take_up(restored(checkpoints))
    for number in range(4, NUM_STEPS):
        expected.step(number)
        found.step(number)
        assert found.optimizer.param_groups[0]["lr"] == expected.optimizer.param_groups[0]["lr"]
        assert tuple(found.optimizer.param_groups[0]["betas"]) == tuple(
            expected.optimizer.param_groups[0]["betas"]
        )
    for name, tensor in expected.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], tensor)


def test_each_phase_and_each_stage_keeps_only_its_newest_checkpoint(
    checkpoints: StoreCheckpoints, store: StageStore
) -> None:
    older, newer = (Halfway(num_steps).checkpoint() for num_steps in (1, 2))
    checkpoints.save("student", older)
    checkpoints.save("student", newer)
    assert torch.equal(restored(checkpoints).modules["0.weight"], newer.modules["0.weight"])
    assert not torch.equal(older.modules["0.weight"], newer.modules["0.weight"])
    assert checkpoints.restore("extractor") is None
    assert StoreCheckpoints(store, "c" * 64).restore("student") is None
    assert len(list(Path(store.root).glob("progress/*/*/*"))) == 2


@pytest.mark.parametrize("damage", ["tensors", "manifest"])
def test_a_damaged_checkpoint_is_not_used_and_the_next_one_replaces_it(
    checkpoints: StoreCheckpoints, store: StageStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.save("student", Halfway(num_steps=1).checkpoint())
    folder = Path(store.path("progress", KEY, "student"))
    if damage == "tensors":
        file = next(folder.glob("*.safetensors"))
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (folder / "manifest.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert checkpoints.restore("student") is None
    assert "corrupt" in caplog.text
    checkpoints.save("student", Halfway(num_steps=2).checkpoint())
    assert len(restored(checkpoints).reports) == 2
    assert len(list(folder.iterdir())) == 2


def test_an_unwritable_store_loses_the_checkpoint_but_not_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        StoreCheckpoints(StageStore(str(tmp_path / "file" / "store")), KEY).save(
            "student", Halfway(num_steps=1).checkpoint()
        )
    assert "epoch 2 of student has no checkpoint" in caplog.text


def test_the_null_checkpoints_keep_nothing() -> None:
    nothing = NoCheckpoints()
    nothing.save("student", Halfway(num_steps=1).checkpoint())
    assert nothing.restore("student") is None
