"""Describe the data that a run learns from and is tested on, in the form that MLflow records.

An MLflow experiment stores a data set only once, even if many runs use the data set. The values
recorded here therefore describe the data set itself. The number of images that a run skips may
differ between runs, so this number is a parameter of the run.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.config.data import DataConfig
from orchestrator.config.image_source import Half
from orchestrator.config.origins import FunctionOrigin
from orchestrator.data.image_table import ImageTable
from orchestrator.data.unlabeled import UnlabeledPool
from orchestrator.masking import shown
from orchestrator.tracking.tracker import DatasetUse

MAX_DIGEST_CHARACTERS = 36

_CONTEXTS: dict[Half, str] = {"train": "training", "test": "testing"}


def dataset_uses(
    config: DataConfig, table: ImageTable, unlabeled: UnlabeledPool | None = None
) -> list[DatasetUse]:
    """Describe a run's training data, its test data, and its data without labels.

    Args:
        config: Configuration of the data.
        table: Images loaded with that configuration.
        unlabeled: Images without labels that the run learns from; None if there are none.
    """
    return [
        _use(config, table, "train", table.labels[~table.is_test]),
        _use(config, table, "test", table.labels[table.is_test]),
        *([] if unlabeled is None else [_unlabeled_use(config, unlabeled)]),
    ]


def _use(
    config: DataConfig, table: ImageTable, half: Half, labels: npt.NDArray[np.str_]
) -> DatasetUse:
    source_type, source = _source(config.origin(half))
    return DatasetUse(
        # MLflow treats data sets with the same name and digest as one data set.
        name=f"{table.name}-{half}",
        digest=table.fingerprint[:MAX_DIGEST_CHARACTERS],
        source_type=source_type,
        source=json.dumps(source),
        schema=json.dumps(_schema(table.shape)),
        profile=json.dumps(_profile(labels)),
        context=_CONTEXTS[half],
    )


def _unlabeled_use(config: DataConfig, pool: UnlabeledPool) -> DatasetUse:
    assert config.unlabeled is not None  # noqa: S101 - a pool exists only if it is configured
    source_type, source = _source(config.unlabeled.origin)
    schema = _schema(pool.table.shape)
    del schema["mlflow_tensorspec"]["targets"]
    return DatasetUse(
        name=f"{pool.table.name}-unlabeled",
        digest=pool.fingerprint[:MAX_DIGEST_CHARACTERS],
        source_type=source_type,
        source=json.dumps(source),
        schema=json.dumps(schema),
        profile=json.dumps({"num_images": len(pool)}),
        context="unlabeled",
    )


def _source(origin: str | FunctionOrigin) -> tuple[str, dict[str, Any]]:
    """Return a data source's kind and location as `mlflow.data.get_source` expects them."""
    if isinstance(origin, FunctionOrigin):
        return "code", {"tags": {"package": origin.package, "function": origin.name}}
    return _place(origin)


def _place(uri: str) -> tuple[str, dict[str, Any]]:
    scheme, separator, _ = uri.partition("://")
    return (scheme if separator else "local"), {"uri": shown(uri)}


def _schema(shape: tuple[int, int, int]) -> dict[str, Any]:
    images = [{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, *shape]}}]
    labels = [{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}]
    return {"mlflow_tensorspec": {"features": json.dumps(images), "targets": json.dumps(labels)}}


def _profile(labels: npt.NDArray[np.str_]) -> dict[str, Any]:
    names, counts = np.unique(labels, return_counts=True)
    per_class = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {"num_images": len(labels), "num_classes": len(per_class), "images_per_class": per_class}
