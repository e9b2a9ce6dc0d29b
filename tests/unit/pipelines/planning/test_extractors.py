"""Size and work of extractors are measured once for each architecture."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.config.roles import ROLES
from orchestrator.data import Scenario
from orchestrator.errors import StorageUnavailableError
from orchestrator.models.backbones import build_backbone
from orchestrator.pipelines.planning import extractors
from orchestrator.pipelines.planning.extractors import Extractors, extractors_of
from orchestrator.stages import StageStore, prepare_work
from orchestrator.stages.backbones import check_backbones, work_of_an_image


@pytest.fixture(scope="module")
def scenario(tiny_experiment: Experiment) -> Scenario:
    return prepare_work(tiny_experiment).scenario


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(str(tmp_path / "store"))


@pytest.fixture
def built() -> Iterator[list[object]]:
    """Collect the configurations of the backbones that are built."""
    configurations: list[object] = []

    def noting(config: object, *shape: object) -> object:
        configurations.append(config)
        return build_backbone(config, *shape)  # type: ignore[arg-type]

    with patch("orchestrator.stages.backbones.build_backbone", noting):
        yield configurations


def test_what_is_kept_is_what_is_measured_and_nothing_is_built_again(
    tiny_experiment: Experiment, scenario: Scenario, store: StageStore, built: list[object]
) -> None:
    experiment = tiny_experiment
    first = extractors_of(experiment, scenario, store)
    assert first == Extractors(
        check_backbones(experiment, scenario),
        {role: work_of_an_image(experiment, role, scenario.shape) for role in ROLES},
    )
    built.clear()
    other_seed = with_values(experiment, {"seed": 7, "student.training.epochs": 3})
    assert extractors_of(other_seed, scenario, store) == first
    assert not built


def test_another_architecture_or_other_code_is_measured_anew(
    tiny_experiment: Experiment,
    scenario: Scenario,
    store: StageStore,
    built: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extractors_of(tiny_experiment, scenario, store)
    built.clear()
    wider = with_values(tiny_experiment, {"student.backbone.kind": "resnet20"})
    assert extractors_of(wider, scenario, store) != extractors_of(tiny_experiment, scenario, store)
    assert built
    built.clear()
    monkeypatch.setattr(extractors, "_version_of_building", lambda: ["of another release"])
    extractors_of(tiny_experiment, scenario, store)
    assert built


def test_a_store_that_cannot_be_written_keeps_nothing_and_hinders_nothing(
    tiny_experiment: Experiment, scenario: Scenario, store: StageStore
) -> None:
    full = StorageUnavailableError("no room", where="here", next_step="make some")
    with patch.object(StageStore, "save", side_effect=full):
        found = extractors_of(tiny_experiment, scenario, store)
    assert found == extractors_of(tiny_experiment, scenario, store)
