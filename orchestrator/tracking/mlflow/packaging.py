"""Package a trained network as a folder that MLflow loads anywhere, without code of this project
and without pickle.

The network is exported as a graph (`torch.export`, MLflow's `pt2` format): it takes uint8 images in
any batch size and returns logits in the order of the class names. Scaling of pixels, normalisation
and evaluation mode are part of the graph.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import mlflow.pytorch
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import Tensor, nn

from orchestrator.errors import OrchestratorError
from orchestrator.models import AnyNetwork
from orchestrator.tracking.mlflow.calls import environment, quiet_logs
from orchestrator.tracking.model_facts import ModelFacts

_MODEL_FILE = "MLmodel"
_GRAPH_FILE = Path("data") / "model.pt2"
# Listed here because MLflow would otherwise load the model again, in a separate process, to find
# out which packages it imports.
_REQUIREMENTS = ("mlflow", "numpy", "torch")
_NUM_EXAMPLES = 2  # with one image, torch.export would fix the batch size to one

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PackagedModel:
    """The content of a model package.

    Attributes:
        classifier: Maps uint8 images of any batch size to logits, on the CPU.
        shape: (channels, height, width) of the images.
        facts: Facts of the model.
    """

    classifier: nn.Module
    shape: Shape
    facts: ModelFacts


class _Classifier(nn.Module):
    """A network reduced to its use: images in, logits out."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


def package_model(network: AnyNetwork, shape: Shape, facts: ModelFacts, folder: Path) -> None:
    """Write a network of any method as an MLflow model, completely or not at all.

    Args:
        network: The network, on any device; it is not changed.
        shape: (channels, height, width) of the images.
        facts: Stored as the model's metadata.
        folder: Created by this call.

    Raises:
        OSError: The folder cannot be written.
        Exception: torch cannot export the network for an arbitrary number of images; it raises
            dozens of different classes.
    """
    # Exported on the CPU, because an exported graph is tied to the device of its export.
    classifier = _Classifier(copy.deepcopy(network)).cpu().eval()
    try:
        with quiet_logs():
            _save(classifier, shape, facts, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def open_package(folder: Path) -> PackagedModel:
    """Open a package that `package_model` wrote, without unpickling anything.

    Raises:
        OrchestratorError: The folder contains no such package.
    """
    try:
        with quiet_logs(), environment({"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}):
            described = Model.load(str(folder))
            classifier: nn.Module = mlflow.pytorch.load_model(str(folder))
            _, channels, height, width = described.signature.inputs.inputs[0].shape
        return PackagedModel(
            classifier, (channels, height, width), ModelFacts(**(described.metadata or {}))
        )
    except (MlflowException, OSError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        what = f"is not a model packaged by this program ({str(error).splitlines()[0]})"
        raise OrchestratorError(what, str(folder)) from error


def _save(classifier: _Classifier, shape: Shape, facts: ModelFacts, folder: Path) -> None:
    model = Model()
    mlflow.pytorch.save_model(
        classifier,
        str(folder),
        mlflow_model=model,
        signature=_signature(shape, len(facts.class_names)),
        input_example=example_images(shape),
        pip_requirements=[f"{package}=={_version(package)}" for package in _REQUIREMENTS],
        metadata=facts.values(),
        serialization_format="pt2",
    )
    _require_any_batch_size(folder / _GRAPH_FILE)
    # Without this setting, MLflow looks for the weights on the GPU of a machine that has one.
    model.flavors["python_function"]["config"]["device"] = "cpu"
    model.save(str(folder / _MODEL_FILE))


def _require_any_batch_size(file: Path) -> None:
    """Check that the exported graph accepts any number of images.

    If the code of a network does not support other numbers, MLflow lets torch.export fix the number
    to that of the example images.

    Raises:
        RuntimeError: The graph accepts only one number of images.
    """
    with ZipFile(file) as archive:  # loading the whole graph would take seconds
        [description] = [name for name in archive.namelist() if name.endswith("models/model.json")]
        graph = json.loads(archive.read(description))["graph_module"]["graph"]
    if "as_int" in graph["tensor_values"]["images"]["sizes"][0]:
        raise RuntimeError(f"the exported graph only accepts batches of {_NUM_EXAMPLES} images")


def example_images(shape: Shape) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return brightness ramps as example images, for tracing the graph and for showing users the
    form of the input; training images are private.
    """
    size = (_NUM_EXAMPLES, *shape)
    return (np.arange(np.prod(size)) % 256).astype(np.uint8).reshape(size)


def _signature(shape: Shape, num_classes: int) -> ModelSignature:
    # The arrays have no names: MLflow would pass a named array to the model in a dictionary, which
    # its PyTorch flavour rejects.
    images = TensorSpec(np.dtype(np.uint8), (-1, *shape))
    logits = TensorSpec(np.dtype(np.float32), (-1, num_classes))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([logits]))


def _version(package: str) -> str:
    """Return a package's version without a suffix such as `+cpu`, which only one package index
    offers.
    """
    return metadata.version(package).partition("+")[0]
