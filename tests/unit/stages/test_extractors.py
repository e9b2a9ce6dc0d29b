"""Runs measure size and work of extractors once per architecture; plans read the stored values."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.config.roles import ROLES
from orchestrator.data import Scenario
from orchestrator.models.backbones import build_backbone
from orchestrator.stages import StageStore, extractors, prepare_work
from orchestrator.stages.backbones import check_backbones, size_of_network, work_of_an_image
from orchestrator.stages.extractors import Extractors, extractors_of, store_extractors


@pytest.fixture(scope="module")
def scenario(tiny_experiment: Experiment) -> Scenario:
    return prepare_work(tiny_experiment).scenario


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(str(tmp_path / "store"))


@pytest.fixture
def built() -> Iterator[list[object]]:
    """Collect the configurations of all backbones that are built."""
    configurations: list[object] = []

    def noting(config: object, *shape: object) -> object:
        configurations.append(config)
        return build_backbone(config, *shape)  # type: ignore[arg-type]

    with patch("orchestrator.stages.backbones.build_backbone", noting):
        yield configurations


def test_stored_values_equal_measured_ones_and_nothing_is_built_again(
    tiny_experiment: Experiment, scenario: Scenario, store: StageStore, built: list[object]
) -> None:
    experiment = tiny_experiment
    measured = Extractors(
        check_backbones(experiment, scenario),
        {role: work_of_an_image(experiment, role, scenario.shape) for role in ROLES},
        {role: size_of_network(experiment, role, scenario.shape) for role in ROLES},
    )
    assert extractors_of(experiment, scenario, store) == measured
    store_extractors(experiment, scenario, store)
    built.clear()
    other_seed = with_values(experiment, {"seed": 7, "student.training.epochs": 3})
    assert extractors_of(other_seed, scenario, store) == measured
    store_extractors(other_seed, scenario, store)
    assert not built


def test_another_architecture_or_changed_code_is_measured_again(
    tiny_experiment: Experiment,
    scenario: Scenario,
    store: StageStore,
    built: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store_extractors(tiny_experiment, scenario, store)
    built.clear()
    wider = with_values(tiny_experiment, {"student.backbone.kind": "resnet20"})
    assert extractors_of(wider, scenario, store) != extractors_of(tiny_experiment, scenario, store)
    assert built
    built.clear()
    monkeypatch.setattr(extractors, "_version_of_building", lambda: ["of another release"])
    extractors_of(tiny_experiment, scenario, store)
    assert built
