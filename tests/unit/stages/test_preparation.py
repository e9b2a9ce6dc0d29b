"""Trials share prepared data if and only if their data settings are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.data import Scenario, Split
from orchestrator.errors import ConfigError, DataError
from orchestrator.stages import Preparation, check_backbones, prepare_work
from orchestrator.stages.preparation import loading_reads, scenario_reads
from tests.field_reads import FieldReads

DATA_CHANGES: dict[str, Any] = {
    "data.validation_fraction": 0.25,
    "data.max_memory_gib": 0.5,
    "data.test_fraction": 0.4,
    "data.split_seed": 1,
    "scenario.max_images_per_class": 7,
    "scenario.max_images_per_base_class": 7,
    "scenario.class_order": [5, 4, 3, 2, 1, 0],
    "scenario.num_base_classes": 4,
    "seed": 1,
}
OTHER_CHANGES: dict[str, Any] = {
    "student.temperature": 2.5,
    "teacher.training.epochs": 3,
    "data.augmentation.noise": 0.5,
    "method.kind": "analytic",
    "execution.num_threads": 2,
}


def write_images(folder: Path) -> Path:
    """Two classes of six real PNG files each."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def on_folder(experiment: Experiment, folder: Path, cache: Path) -> Experiment:
    data = {
        "kind": "image_folder",
        "train": str(folder),
        "test_fraction": 0.34,
        "image_size": 8,
        "cache_dir": str(cache),
    }
    scenario = {"num_base_classes": 1, "classes_per_task": 1, "class_order": ["cat", "dog"]}
    values = {**experiment.model_dump(), "data": data, "scenario": scenario}
    return Experiment.model_validate(values)


@pytest.mark.parametrize("path", OTHER_CHANGES)
def test_experiments_with_equal_data_settings_share_a_scenario(
    tiny_experiment: Experiment, path: str
) -> None:
    preparation = Preparation()
    changed = with_values(tiny_experiment, {path: OTHER_CHANGES[path]})
    assert preparation.scenario_of(changed) is preparation.scenario_of(tiny_experiment)


@pytest.mark.parametrize("path", DATA_CHANGES)
def test_experiments_with_other_data_settings_or_seeds_do_not_share_a_scenario(
    tiny_experiment: Experiment, path: str
) -> None:
    preparation = Preparation()
    changed = with_values(tiny_experiment, {path: DATA_CHANGES[path]})
    preparation.work_of(tiny_experiment)
    shared, alone = preparation.work_of(changed), prepare_work(changed)
    assert shared.scenario is not preparation.scenario_of(tiny_experiment)
    assert [stage.key for stage in shared.stages] == [stage.key for stage in alone.stages]
    assert shared.scenario.max_bytes == alone.scenario.max_bytes
    for split in Split:
        for one, other in zip(
            shared.scenario.indices[split], alone.scenario.indices[split], strict=True
        ):
            assert np.array_equal(one, other)


def test_seeds_and_splits_share_the_images(tiny_experiment: Experiment) -> None:
    preparation = Preparation()
    changed = with_values(tiny_experiment, {"seed": 1, "data.validation_fraction": 0.25})
    tables = [preparation.scenario_of(each).table for each in (tiny_experiment, changed)]
    assert tables[0] is tables[1]


@pytest.mark.parametrize("source", ["digits", "image folder"])
def test_preparing_data_reads_only_fields_of_its_key(
    tiny_experiment: Experiment, tmp_path: Path, source: str
) -> None:
    experiment = (
        tiny_experiment.model_copy(deep=True)
        if source == "digits"
        else on_folder(tiny_experiment, write_images(tmp_path / "images"), tmp_path / "cache")
    )
    reads = FieldReads(experiment)
    with reads.watching():
        scenario = Preparation().scenario_of(experiment)
        for task in scenario.tasks:
            scenario.fingerprint_of(task), scenario.fingerprint_of_judging(task)
    assert {"data.test_fraction", "scenario.class_order", "seed"} <= reads.paths
    key = json.loads(scenario_reads(experiment))
    listed = {"seed"} | {f"{part}.{name}" for part in ("data", "scenario") for name in key[part]}
    assert reads.paths <= listed
    assert "data.augmentation" not in listed


@pytest.mark.parametrize("path", ["data.test_fraction", "data.split_seed", "data.cache_dir"])
def test_images_are_loaded_again_if_their_settings_differ(
    tiny_experiment: Experiment, tmp_path: Path, path: str
) -> None:
    value = str(tmp_path) if path == "data.cache_dir" else DATA_CHANGES[path]
    changed = with_values(tiny_experiment, {path: value})
    assert loading_reads(changed.data) != loading_reads(tiny_experiment.data)
    preparation = Preparation()
    tables = [preparation.scenario_of(each).table for each in (tiny_experiment, changed)]
    assert tables[0].path != tables[1].path


def test_only_the_most_recently_used_scenarios_are_kept(tiny_experiment: Experiment) -> None:
    preparation = Preparation(max_scenarios=2)
    seeds = [with_values(tiny_experiment, {"seed": seed}) for seed in range(3)]
    first, second = (preparation.scenario_of(seeds[number]) for number in (0, 1))
    assert preparation.scenario_of(seeds[0]) is first
    preparation.scenario_of(seeds[2])
    assert preparation.scenario_of(seeds[0]) is first
    assert preparation.scenario_of(seeds[1]) is not second


def test_backbones_are_checked_once_unless_they_differ(
    tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def noting(experiment: Experiment, scenario: Scenario) -> None:
        checked.append(experiment.student.backbone.kind)
        check_backbones(experiment, scenario)

    monkeypatch.setattr("orchestrator.stages.backbones.check_backbones", noting)
    preparation = Preparation()
    unusable = {"kind": "torchvision", "name": "alexnet"}  # pools 8x8 images down to nothing
    for changes in (
        {"student.backbone": {"kind": "small_cnn"}},
        {"student.backbone": {"kind": "small_cnn"}, "student.temperature": 2.5, "seed": 1},
        {"student.backbone": {"kind": "small_cnn_tiny"}},
    ):
        preparation.check_backbones(preparation.work_of(with_values(tiny_experiment, changes)))
    assert checked == ["small_cnn", "small_cnn_tiny"]
    work = preparation.work_of(with_values(tiny_experiment, {"student.backbone": unusable}))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"student\.backbone"):
            preparation.check_backbones(work)


def test_a_failed_preparation_is_tried_again(tiny_experiment: Experiment, tmp_path: Path) -> None:
    experiment = on_folder(tiny_experiment, tmp_path / "images", tmp_path / "cache")
    preparation = Preparation()
    with pytest.raises(DataError):
        preparation.work_of(experiment)
    write_images(tmp_path / "images")
    assert preparation.work_of(experiment).scenario.class_names == ("cat", "dog")
