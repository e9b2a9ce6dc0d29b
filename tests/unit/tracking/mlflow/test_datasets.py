"""Data sets as MLflow keeps them: once in an experiment, whichever run names them first."""

import json
from pathlib import Path

import mlflow.data
import numpy as np
import pytest
from mlflow.data.schema import TensorDatasetSchema
from mlflow.entities import Dataset, Run

from orchestrator.config.data import DigitsConfig, ParquetConfig
from orchestrator.data import ImageTable
from orchestrator.data.image_table import write_image_table
from orchestrator.tracking.mlflow.datasets import dataset_uses, log_datasets
from orchestrator.tracking.mlflow.runs import Store, open_store
from orchestrator.tracking.tracker import DatasetUse


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db", "data sets")


@pytest.fixture
def pets(tmp_path: Path) -> ImageTable:
    images = np.zeros((5, 3, 8, 8), dtype=np.uint8)
    return write_image_table(
        tmp_path / "pets.arrow",
        "pets",
        images,
        ["cat", "dog", "cat", "cat", "dog"],
        np.arange(5) >= 3,
    )


def new_run(store: Store) -> str:
    return str(store.client.create_run(store.experiment_id).info.run_id)


def contexts(run: Run) -> dict[str, str]:
    assert run.inputs is not None
    return {
        one.dataset.name: next(tag.value for tag in one.tags if tag.key == "mlflow.data.context")
        for one in run.inputs.dataset_inputs
    }


def entity(use: DatasetUse) -> Dataset:
    return Dataset(use.name, use.digest, use.source_type, use.source, use.schema, use.profile)


def test_training_and_test_data_are_told_apart_and_counted_by_class(pets: ImageTable) -> None:
    train, test = dataset_uses(ParquetConfig(train="/data/train.parquet", test="/data/test"), pets)
    assert (train.name, train.context, test.name, test.context) == (
        "pets-train",
        "training",
        "pets-test",
        "testing",
    )
    assert train.digest == test.digest == pets.fingerprint[:36]
    assert json.loads(train.profile) == {
        "num_images": 3,
        "num_classes": 2,
        "images_per_class": {"cat": 2, "dog": 1},
    }
    assert json.loads(test.profile) == {
        "num_images": 2,
        "num_classes": 2,
        "images_per_class": {"cat": 1, "dog": 1},
    }


def test_mlflow_reads_the_schema_and_finds_the_place(pets: ImageTable) -> None:
    train, test = dataset_uses(ParquetConfig(train="/data/train.parquet", test="/data/test"), pets)
    schema = TensorDatasetSchema.from_dict(json.loads(train.schema))
    assert [(spec.type, spec.shape) for spec in schema.features.inputs] == [
        (np.dtype("uint8"), (-1, 3, 8, 8))
    ]
    assert schema.targets is not None
    assert [mlflow.data.get_source(entity(use)).to_dict() for use in (train, test)] == [
        {"uri": "/data/train.parquet"},
        {"uri": "/data/test"},
    ]


def test_the_digits_come_from_a_package(digits_table: ImageTable) -> None:
    train, test = dataset_uses(DigitsConfig(), digits_table)
    assert mlflow.data.get_source(entity(train)).to_dict()["tags"]["package"] == "scikit-learn"
    assert json.loads(train.profile)["num_images"] + json.loads(test.profile)["num_images"] == 1797
    assert json.loads(test.profile)["num_classes"] == 10


def test_data_sets_named_twice_are_there_once_and_other_content_is_another_data_set(
    store: Store, digits_table: ImageTable, pets: ImageTable
) -> None:
    first, second = new_run(store), new_run(store)
    digits = dataset_uses(DigitsConfig(), digits_table)
    for run_id in (first, first, second):
        log_datasets(store.client, run_id, digits)
    log_datasets(store.client, second, dataset_uses(DigitsConfig(), pets))
    runs = [store.client.get_run(run_id) for run_id in (first, second)]
    assert [contexts(run) for run in runs] == [
        {"digits-train": "training", "digits-test": "testing"},
        {
            "digits-train": "training",
            "digits-test": "testing",
            "pets-train": "training",
            "pets-test": "testing",
        },
    ]
    assert runs[0].inputs is not None
    assert {one.dataset.profile for one in runs[0].inputs.dataset_inputs} == {
        use.profile for use in digits
    }


def test_a_bucket_is_named_without_its_password(pets: ImageTable) -> None:
    train, _ = dataset_uses(ParquetConfig(train="s3://key:hidden@bucket/train.parquet"), pets)
    assert train.source_type == "s3"
    assert json.loads(train.source) == {"uri": "s3://key:***@bucket/train.parquet"}
