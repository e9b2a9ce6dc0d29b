"""Valid and invalid experiments."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from orchestrator.config import Experiment
from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.schema import models_in
from orchestrator.config.teacher import JointEmbeddingConfig
from orchestrator.config.transfer import (
    LinearTransferConfig,
    PerSampleTransferConfig,
    ThresholdTransferConfig,
)


def all_models(model: type[BaseModel] = Experiment) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from all_models(inner)


ALL_MODELS = sorted(set(all_models()), key=lambda model: model.__name__)


def problem(values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        Experiment.model_validate(values)
    return str(error.value)


# --- every model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ALL_MODELS)
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    undescribed = [
        name
        for name, field in model.model_fields.items()
        if name != "kind" and not (field.description or "").endswith(".")
    ]
    assert undescribed == []


@pytest.mark.parametrize("model", ALL_MODELS)
def test_every_model_is_frozen_and_rejects_extra_keys(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"] is True
    assert model.model_config["extra"] == "forbid"


def test_an_experiment_is_immutable() -> None:
    experiment = Experiment()
    with pytest.raises(ValidationError, match="frozen"):
        experiment.seed = 1  # type: ignore[misc] # that is the test
    with pytest.raises(ValidationError, match="frozen"):
        experiment.teacher.training.epochs = 1  # type: ignore[misc]


# --- relations between fields ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        (
            [[0.7, 0.6], [0.8, 0.5]],
            "ratios[1][0] = 0.8 exceeds ratios[0][0] = 0.7: the ratio may not grow with similarity",
        ),
        (
            [[0.7, 0.9], [0.6, 0.5]],
            "ratios[0][1] = 0.9 exceeds ratios[0][0] = 0.7: the ratio may not grow with progress",
        ),
        ([[0.7, 0.6]], "ratios has 1 rows; 1 similarity_thresholds cut KDR into 2"),
        ([[0.7, 0.6], [0.5]], "ratios[1] has 1 values; 1 progress_thresholds cut TSTR into 2"),
    ],
    ids=["grows with similarity", "grows with progress", "too few rows", "too few columns"],
)
def test_an_invalid_transfer_table_is_reported_cell_by_cell(
    ratios: list[list[float]], said: str
) -> None:
    transfer = {
        "kind": "threshold",
        "similarity_thresholds": [0.5],
        "progress_thresholds": [0.5],
        "ratios": ratios,
    }
    assert said in problem({"student": {"transfer": transfer}})


@pytest.mark.parametrize("axis", ["similarity_thresholds", "progress_thresholds"])
@pytest.mark.parametrize("thresholds", [[0.8, 0.5], [0.5, 0.5]])
def test_thresholds_ascend_on_both_axes(axis: str, thresholds: list[float]) -> None:
    said = problem({"student": {"transfer": {axis: thresholds}}})
    assert f"{axis}[0] = {thresholds[0]} is not below {axis}[1] = {thresholds[1]}" in said


@pytest.mark.parametrize("axis", ["similarity_thresholds", "progress_thresholds"])
@pytest.mark.parametrize(
    ("threshold", "said"), [(1.1, "less than or equal to 1"), (-0.1, "greater than or equal to 0")]
)
def test_thresholds_are_fractions_on_both_axes(axis: str, threshold: float, said: str) -> None:
    assert said in problem({"student": {"transfer": {axis: [threshold]}}})


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.1, "less than or equal to 1"), (-0.1, "greater than or equal to 0")]
)
def test_ratios_are_fractions(ratio: float, said: str) -> None:
    transfer = {"similarity_thresholds": [], "progress_thresholds": [], "ratios": [[ratio]]}
    assert said in problem({"student": {"transfer": transfer}})
    assert said in problem({"student": {"transfer": {"kind": "fixed", "ratio": ratio}}})


THREE_BY_THREE = {"similarity_thresholds": (0.5, 0.8), "progress_thresholds": (0.3, 0.7)}


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=3, max_size=3))
def test_a_table_is_accepted_exactly_if_it_decreases_along_both_axes(
    ratios: list[list[float]],
) -> None:
    falls = all(ratios[i][j] >= ratios[i + 1][j] for i in range(2) for j in range(3)) and all(
        ratios[i][j] >= ratios[i][j + 1] for i in range(3) for j in range(2)
    )
    if falls:
        ThresholdTransferConfig.model_validate({**THREE_BY_THREE, "ratios": ratios})
    else:
        with pytest.raises(ValidationError, match="may not grow with"):
            ThresholdTransferConfig.model_validate({**THREE_BY_THREE, "ratios": ratios})


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_table_sorted_along_both_axes_is_always_accepted(high: float, low: float) -> None:
    high, low = max(high, low), min(high, low)
    middle = (high + low) / 2
    ratios = [[high, middle, low], [middle, middle, low], [low, low, low]]
    assert ThresholdTransferConfig.model_validate(
        {**THREE_BY_THREE, "ratios": ratios}
    ).ratios == tuple(tuple(row) for row in ratios)


def test_a_table_of_one_cell_needs_no_thresholds() -> None:
    table = ThresholdTransferConfig(
        similarity_thresholds=(), progress_thresholds=(), ratios=((0.4,),)
    )
    assert table.ratios == ((0.4,),)


def test_a_linear_transfer_ratio_does_not_grow() -> None:
    with pytest.raises(
        ValidationError,
        match=r"end = 0.6 exceeds start = 0.5: the ratio may not grow with progress",
    ):
        LinearTransferConfig(start=0.5, end=0.6)
    assert LinearTransferConfig(start=0.5, end=0.5).end == 0.5


def test_a_per_sample_transfer_ratio_does_not_grow_with_similarity() -> None:
    with pytest.raises(
        ValidationError,
        match=r"lowest = 0.6 exceeds highest = 0.5: the ratio may not grow with similarity",
    ):
        PerSampleTransferConfig(highest=0.5, lowest=0.6)
    assert PerSampleTransferConfig(highest=0.5, lowest=0.5).lowest == 0.5


@pytest.mark.parametrize(
    ("transfer", "per_sample"),
    [
        ({}, False),
        ({"per": "sample"}, True),
        ({"kind": "fixed"}, False),
        ({"kind": "linear"}, False),
        ({"kind": "per_sample"}, True),
    ],
)
def test_per_sample_and_a_table_per_sample_select_for_each_sample(
    transfer: dict[str, str], per_sample: bool
) -> None:
    experiment = Experiment.model_validate({"student": {"transfer": transfer}})
    assert experiment.student.transfer.is_per_sample is per_sample


@pytest.mark.parametrize(("pull", "push"), [(0.5, 0.5), (0.6, 0.5)])
def test_the_push_margin_is_larger_than_the_pull_margin(pull: float, push: float) -> None:
    with pytest.raises(
        ValidationError, match=f"push_margin = {push} must be larger than pull_margin = {pull}"
    ):
        JointEmbeddingConfig(pull_margin=pull, push_margin=push)


@pytest.mark.parametrize("order", [[1, 2, 1], ["a", "b", "a"], [1, "1"]])
def test_a_class_order_names_no_class_twice(order: list[int | str]) -> None:
    assert f"{order[-1]} is listed more than once" in problem({"scenario": {"class_order": order}})


def test_a_class_order_is_not_empty() -> None:
    assert "[] is neither a seed (an integer) nor a list of labels" in problem(
        {"scenario": {"class_order": []}}
    )


# --- image augmentation ---------------------------------------------------------------------------

augmentations = st.builds(
    ImageAugmentationConfig,
    rotation_degrees=st.floats(0, 180),
    scale_fraction=st.floats(0, 1, exclude_max=True),
    shift_fraction=st.floats(0, 1, exclude_max=True),
    horizontal_flip=st.booleans(),
    noise=st.floats(0, 1),
)


@given(augmentations, st.floats(0, 1000))
def test_image_augmentation_can_be_scaled_by_any_strength(
    augmentation: ImageAugmentationConfig, strength: float
) -> None:
    scaled = augmentation.scaled(strength)
    assert scaled.horizontal_flip == augmentation.horizontal_flip
    assert 0 <= scaled.shift_fraction < 1
    assert 0 <= scaled.scale_fraction < 1


def test_scaled_image_augmentation_is_proportionally_stronger() -> None:
    once = ImageAugmentationConfig(
        rotation_degrees=10,
        scale_fraction=0.1,
        shift_fraction=0.05,
        horizontal_flip=True,
        noise=0.02,
    )
    twice = ImageAugmentationConfig(
        rotation_degrees=20,
        scale_fraction=0.2,
        shift_fraction=0.1,
        horizontal_flip=True,
        noise=0.04,
    )
    assert once.scaled(2) == twice
    assert once.scaled(1) == once


# --- paths ----------------------------------------------------------------------------------------


def test_relative_paths_and_sqlite_files_become_absolute_on_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.model_validate(
        {
            "data": {
                "kind": "parquet",
                "train": "images/train",
                "test": "images/test",
                "cache_dir": "cache",
            },
            "store": {"uri": "a store"},
            "tracking": {"uri": "sqlite:///runs/mlflow.db"},
        }
    )
    here = Path.cwd()
    assert experiment.data.model_dump(include={"train", "test", "cache_dir"}) == {
        "train": f"{here}/images/train",
        "test": f"{here}/images/test",
        "cache_dir": here / "cache",
    }
    assert experiment.store.uri == f"{here}/a store"
    assert experiment.tracking.uri == f"sqlite:///{here}/runs/mlflow.db"


def test_default_paths_are_below_the_current_folder_at_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment()
    here = Path.cwd()
    assert experiment.data.cache_dir == here / ".orchestrator/data"
    assert experiment.store.uri == f"{here}/.orchestrator/store"
    assert experiment.tracking.uri == f"sqlite:///{here}/mlflow.db"


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    experiment = Experiment.model_validate(
        {"store": {"uri": "~/store"}, "data": {"cache_dir": "~/cache"}}
    )
    assert experiment.store.uri == "/home/somebody/store"
    assert experiment.data.cache_dir == Path("/home/somebody/cache")


@pytest.mark.parametrize(
    "uri", ["http://host:5000", "sqlite:////absolute/mlflow.db", "postgresql://host/runs"]
)
def test_other_tracking_addresses_are_unchanged(uri: str) -> None:
    assert Experiment.model_validate({"tracking": {"uri": uri}}).tracking.uri == uri


@pytest.mark.parametrize("uri", ["s3://bucket/store", "gs://bucket/store", "/absolute/store"])
def test_other_store_addresses_are_unchanged(uri: str) -> None:
    assert Experiment.model_validate({"store": {"uri": uri}}).store.uri == uri
