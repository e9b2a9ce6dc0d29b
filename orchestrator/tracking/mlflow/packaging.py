"""Package a trained network as a folder that MLflow can load without this project's code and
without pickle.

The package contains a graph that `torch.export` has exported (MLflow's `pt2` format). The graph
takes uint8 images in batches of any size, and returns logits in the order of the class names. The
graph includes the scaling and normalisation of pixels, and always runs in evaluation mode.
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
# Packages that the model imports. Without this list, MLflow would load the model in a separate
# process to find these packages.
_REQUIREMENTS = ("mlflow", "numpy", "torch")
_NUM_EXAMPLES = 2  # with one example image, torch.export would fix the batch size to one

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PackagedModel:
    """The content of a model package.

    Attributes:
        classifier: Module that maps uint8 images in batches of any size to logits, on the CPU.
        shape: (channels, height, width) of the images.
        facts: Facts about the model.
    """

    classifier: nn.Module
    shape: Shape
    facts: ModelFacts


class _Classifier(nn.Module):
    """Wraps a network: takes images, and returns only the network's logits."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


def package_model(network: AnyNetwork, shape: Shape, facts: ModelFacts, folder: Path) -> None:
    """Write the network of any method as an MLflow model; after an error, no folder remains.

    Args:
        network: The network, on any device; this function does not change the network.
        shape: (channels, height, width) of the images.
        facts: Facts about the model, which become the metadata of the MLflow model.
        folder: Path of the package; this function creates the folder.

    Raises:
        OSError: The folder cannot be written.
        Exception: torch cannot export the network for an arbitrary number of images. The class of
            the error varies, because torch raises dozens of classes.
    """
    # Export a copy on the CPU, because an exported graph only runs on the device of its export.
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
        OrchestratorError: The folder contains no package that `package_model` wrote.
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
    # Without the setting `device`, MLflow expects the weights on the GPU if the machine has a GPU.
    model.flavors["python_function"]["config"]["device"] = "cpu"
    model.save(str(folder / _MODEL_FILE))


def _require_any_batch_size(file: Path) -> None:
    """Check that an exported graph accepts batches of any size.

    The code of some networks works only for one batch size. MLflow lets torch.export fix the batch
    size of such a network's graph to the number of example images.

    Args:
        file: File of the exported graph.

    Raises:
        RuntimeError: The graph accepts only one batch size.
    """
    # Read only the description of the exported graph, because loading the graph takes seconds.
    with ZipFile(file) as archive:
        [description] = [name for name in archive.namelist() if name.endswith("models/model.json")]
        graph = json.loads(archive.read(description))["graph_module"]["graph"]
    if "as_int" in graph["tensor_values"]["images"]["sizes"][0]:
        raise RuntimeError(f"the exported graph only accepts batches of {_NUM_EXAMPLES} images")


def example_images(shape: Shape) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return artificial example images, which show brightness ramps.

    MLflow traces the network with these images, and stores them as an example of the model's input.
    Training images are not used, because they may be private.
    """
    size = (_NUM_EXAMPLES, *shape)
    return (np.arange(np.prod(size)) % 256).astype(np.uint8).reshape(size)


def _signature(shape: Shape, num_classes: int) -> ModelSignature:
    # Give the arrays no names: MLflow would pass a named array to the model in a dictionary, and
    # MLflow's PyTorch flavour rejects dictionaries.
    images = TensorSpec(np.dtype(np.uint8), (-1, *shape))
    logits = TensorSpec(np.dtype(np.float32), (-1, num_classes))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([logits]))


def _version(package: str) -> str:
    """Return the installed version of a package as PyPI names it, without a suffix like `+cpu`."""
    return metadata.version(package).partition("+")[0]
