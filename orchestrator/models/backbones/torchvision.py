"""torchvision's classification models, without their last layer."""

from __future__ import annotations

import difflib
from pathlib import Path

from torch import nn
from torchvision import models

from orchestrator.config.backbones import TorchvisionConfig, is_weight_file
from orchestrator.errors import ConfigError
from orchestrator.models.backbones.body import IMAGENET, Body, Shape
from orchestrator.models.backbones.traced_stages import stages_of
from orchestrator.models.backbones.weight_files import cannot_load, digest, load_weights


def build(config: TorchvisionConfig, _shape: Shape) -> Body:
    """Build a model, with weights from a file or from torchvision, or with random weights.

    Raises:
        ConfigError: The model does not exist, or its weights cannot be loaded.
    """
    _check_is_known(config.name)
    file = _weights_file(config)
    try:
        model = models.get_model(config.name, weights=None if file else config.weights)
    except (ValueError, KeyError, OSError) as error:
        raise cannot_load(config.name, str(config.weights), error) from None
    if file:
        load_weights(model, file, config.name)
    linear = [
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)
    ]
    if not linear:
        raise ConfigError(
            f"{config.name} does not end in a linear layer",
            where="backbone.name",
            next_step="choose resnet18, for example",
        )
    name, last = linear[-1]
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.Identity())
    return Body(model, last.in_features, 3, *IMAGENET, stages=stages_of)


def weights_identity(config: TorchvisionConfig) -> str:
    """Return the SHA-256 of the weight file, or the name of the published weights in torchvision.
    If the weights are random, return an empty string.

    Raises:
        ConfigError: The model does not exist, or its weights cannot be read.
    """
    if config.weights is None:
        return ""
    if file := _weights_file(config):
        return digest(file, config.kind)
    _check_is_known(config.name)
    try:
        return str(models.get_model_weights(config.name)[config.weights])
    except (ValueError, KeyError) as error:
        raise cannot_load(config.name, config.weights, error) from None


def _weights_file(config: TorchvisionConfig) -> Path | None:
    is_file = config.weights is not None and is_weight_file(config.weights)
    return Path(config.weights) if config.weights is not None and is_file else None


def _check_is_known(name: str) -> None:
    known = models.list_models(module=models)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        advice = (
            f"did you mean {nearest[0]}?" if nearest else "see torchvision.models.list_models()"
        )
        raise ConfigError(
            f"torchvision has no classification model {name!r}",
            where="backbone.name",
            next_step=advice,
        )
