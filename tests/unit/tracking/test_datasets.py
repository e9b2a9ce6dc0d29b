"""Data sets are described in a form that MLflow can read."""

import json
from pathlib import Path

import mlflow.data
import numpy as np
import pytest
from mlflow.data.schema import TensorDatasetSchema
from mlflow.entities import Dataset

from orchestrator.config.data import DigitsConfig, ParquetConfig
from orchestrator.data import ImageTable
from orchestrator.data.image_table import write_image_table
from orchestrator.tracking.datasets import dataset_uses
from orchestrator.tracking.tracker import DatasetUse


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


def entity(use: DatasetUse) -> Dataset:
    return Dataset(use.name, use.digest, use.source_type, use.source, use.schema, use.profile)


def test_training_and_test_data_are_distinguished_and_counted_by_class(pets: ImageTable) -> None:
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


def test_mlflow_reads_the_schema_and_the_source(pets: ImageTable) -> None:
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


def test_the_source_of_the_digits_is_a_package(digits_table: ImageTable) -> None:
    train, test = dataset_uses(DigitsConfig(), digits_table)
    assert mlflow.data.get_source(entity(train)).to_dict()["tags"]["package"] == "scikit-learn"
    assert json.loads(train.profile)["num_images"] + json.loads(test.profile)["num_images"] == 1797
    assert json.loads(test.profile)["num_classes"] == 10


def test_a_bucket_is_named_without_its_password(pets: ImageTable) -> None:
    train, _ = dataset_uses(ParquetConfig(train="s3://key:hidden@bucket/train.parquet"), pets)
    assert train.source_type == "s3"
    assert json.loads(train.source) == {"uri": "s3://***@bucket/train.parquet"}
