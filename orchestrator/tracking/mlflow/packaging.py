"""A learned network as a folder that MLflow loads anywhere: no code of this project in it, and no
pickle.

The network is exported as a graph (`torch.export`, MLflow's `pt2` format): uint8 images of any
batch size go in, logits in the order of the class names come out. Scaling of pixels, normalisation
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
# Exactly these: left to itself MLflow loads the model once more, in a process of its own, to see
# what it imports.
_REQUIREMENTS = ("mlflow", "numpy", "torch")
_NUM_EXAMPLES = 2  # of one image, torch.export concludes that there is always one

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PackagedModel:
    """A package that has been opened.

    Attributes:
        classifier: uint8 images of any batch size → logits, on the CPU.
        shape: (channels, height, width) of the images.
        facts: Of the model.
    """

    classifier: nn.Module
    shape: Shape
    facts: ModelFacts


class _Classifier(nn.Module):
    """What users want of a network: images in, logits out."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


def package_model(network: AnyNetwork, shape: Shape, facts: ModelFacts, folder: Path) -> None:
    """Writes a network of any method as an MLflow model, whole or not at all.

    Args:
        network: It is left as it is, on whatever device.
        shape: (channels, height, width) of the images.
        facts: Kept as the model's metadata.
        folder: Made by this call.

    Raises:
        OSError: The folder cannot be written.
        Exception: torch cannot export the network for any number of images, for one of several
            dozen reasons.
    """
    # The model is packaged for the CPU: an exported graph stays on the device on which it was made.
    classifier = _Classifier(copy.deepcopy(network)).cpu().eval()
    try:
        with quiet_logs():
            _save(classifier, shape, facts, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def open_package(folder: Path) -> PackagedModel:
    """Opens what `package_model` has written, without unpickling anything.

    Raises:
        OrchestratorError: The folder holds no such package.
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
        what = f"is no model that this program has packaged ({str(error).splitlines()[0]})"
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
    # MLflow would look for the weights on the GPU of a machine that has one.
    model.flavors["python_function"]["config"]["device"] = "cpu"
    model.save(str(folder / _MODEL_FILE))


def _require_any_batch_size(file: Path) -> None:
    """MLflow lets torch.export fix the number of images to that of the example where a network's
    code does not leave it open.

    Raises:
        RuntimeError: It is fixed.
    """
    with ZipFile(file) as archive:  # to load the graph takes seconds
        [description] = [name for name in archive.namelist() if name.endswith("models/model.json")]
        graph = json.loads(archive.read(description))["graph_module"]["graph"]
    if "as_int" in graph["tensor_values"]["images"]["sizes"][0]:
        raise RuntimeError(f"its graph takes {_NUM_EXAMPLES} images at once and no other number")


def example_images(shape: Shape) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Images by which the graph is traced and users see what goes in: brightness ramps, for
    training images are nobody's business.
    """
    size = (_NUM_EXAMPLES, *shape)
    return (np.arange(np.prod(size)) % 256).astype(np.uint8).reshape(size)


def _signature(shape: Shape, num_classes: int) -> ModelSignature:
    # without names: MLflow would hand a named array to the model in a dictionary, which its PyTorch
    # flavour refuses
    images = TensorSpec(np.dtype(np.uint8), (-1, *shape))
    logits = TensorSpec(np.dtype(np.float32), (-1, num_classes))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([logits]))


def _version(package: str) -> str:
    """Without what is known only to one index, such as `+cpu`."""
    return metadata.version(package).partition("+")[0]
