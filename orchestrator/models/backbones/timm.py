"""Networks of timm without their classifiers: convolutional networks and vision transformers.

timm provides the image size and the pixel statistics with which each network was trained. timm also
adapts weights from a file. It converts the formats of the original publications, and resamples the
position embeddings of a transformer for another image size.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from orchestrator.config.backbones import TimmConfig
from orchestrator.errors import ConfigError
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.timm_stages import stages_of
from orchestrator.models.backbones.weight_files import (
    digest,
    explained,
    extra_is_missing,
)

_CANNOT_BUILD = (RuntimeError, ValueError, TypeError, AssertionError, ArithmeticError, LookupError)


def build(config: TimmConfig, _shape: Shape) -> Body:
    """Build a network, with weights from a file or from timm's hub, or with random weights.

    Raises:
        ConfigError: The extra `timm` is not installed, timm has no such network, the network does
            not support the configured image size, or its weights cannot be loaded.
    """
    published = _published(config)
    data = _timm().data.resolve_data_config(pretrained_cfg=published.to_dict())
    num_channels, own_size, _ = data["input_size"]
    size = config.input_size or own_size
    # Only networks for a fixed image size accept the argument `img_size`. Transformers with one
    # position per patch are such networks.
    sized = {"img_size": size} if published.fixed_input_size else {}
    model: Any = _network(config, published, sized)
    if not hasattr(model, "reset_classifier"):
        raise ConfigError(
            f"timm's {config.name} returns no features of a whole image",
            where="backbone.name",
            next_step="choose a classification network",
        )
    _require_whole_patches(model, config, size)
    mean, deviation = tuple(data["mean"]), tuple(data["std"])
    return Body(
        model, model.head_hidden_size, num_channels, mean, deviation, size, stages=stages_of
    )


def weights_identity(config: TimmConfig) -> str:
    """Return the SHA-256 of the weight file, or the name of the published weights in timm. If the
    weights are random, return an empty string.

    Raises:
        ConfigError: The network or its weights do not exist, or the file cannot be read.
    """
    if config.weights is None:
        return ""
    if isinstance(config.weights, str):
        return digest(Path(config.weights), config.name)
    published = _published(config)
    if not published.has_weights:
        tagged = ", ".join(_timm().list_pretrained(f"{_architecture(config.name)}.*"))
        raise ConfigError(
            f"timm has no weights for {config.name!r}",
            where="backbone.weights",
            next_step=f"choose one of {tagged}" if tagged else "give a file of weights, or null",
        )
    return ".".join(filter(None, (_architecture(config.name), published.tag)))


def _timm() -> ModuleType:
    try:
        import timm  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise extra_is_missing("timm", "timm") from None
    return timm


def _architecture(name: str) -> str:
    return name.partition(".")[0]


def _published(config: TimmConfig) -> Any:  # noqa: ANN401 - timm is not always installed
    """Return timm's configuration of a network and of the weights that its tag names."""
    timm, architecture = _timm(), _architecture(config.name)
    known = timm.list_models()
    if architecture not in known:
        begun = [name for name in known if name.startswith(architecture)]
        nearest = begun[:3] or difflib.get_close_matches(architecture, known, n=3)
        raise ConfigError(
            f"timm has no network {architecture!r}",
            where="backbone.name",
            next_step=f"did you mean {' or '.join(nearest)}?"
            if nearest
            else "see timm.list_models()",
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if "." in config.name and config.name not in tagged:
        raise ConfigError(
            f"timm has no weights {config.name!r}",
            where="backbone.name",
            next_step=f"choose one of {', '.join(tagged)}" if tagged else f"give {architecture}",
        )
    return timm.get_pretrained_cfg(config.name)


def _network(config: TimmConfig, published: Any, sized: dict[str, int]) -> nn.Module:  # noqa: ANN401 - timm is not always installed
    """Return the network without its classifier."""
    if config.weights is None:
        return _random(config.name, sized)
    try:
        if isinstance(config.weights, str):
            return _from_file(config.name, Path(config.weights), published, sized)
        with explained(config.name, weights_identity(config)):
            return _created(config.name, num_classes=0, pretrained=True, **sized)
    except ConfigError:
        # Build the network again without pre-trained weights. If the image size caused the failure,
        # this call raises an error that names the size; otherwise the error about the weights is
        # raised.
        _random(config.name, sized)
        raise


def _random(name: str, sized: dict[str, int]) -> nn.Module:
    try:
        return _created(name, num_classes=0, **sized)
    except _CANNOT_BUILD as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"timm cannot build {name} for images of {sized.get('img_size')} pixels a side"
            f" ({reason})",
            where="backbone.input_size",
            next_step="choose another size; null means the network's own size",
        ) from None


def _from_file(name: str, file: Path, published: Any, sized: dict[str, int]) -> nn.Module:  # noqa: ANN401 - timm is not always installed
    """Return the network with the weights of a file, without its classifier.

    timm reports missing and unexpected weights only if the network has as many classes as the
    weights. The file is therefore loaded into a network with the file's number of classes; its
    classifier is removed afterwards.
    """
    with explained(name, str(file)):
        file.stat()  # raises an error for a missing file, which timm does not report
        state = _timm().models.load_state_dict(str(file))
        names = published.classifier or ""
        classifier = names if isinstance(names, str) else names[0]
        num_classes = len(state.get(f"{classifier}.weight", ()))
        source = {"file": str(file), "custom_load": False}
        classes = {"num_classes": num_classes, "label_offset": 0}
        model = _created(
            name,
            num_classes=num_classes,
            pretrained=True,
            pretrained_cfg_overlay=source | classes,
            **sized,
        )
        model.reset_classifier(0)  # type: ignore[operator] # a method, not a submodule
    return model


def _created(name: str, **arguments: Any) -> nn.Module:  # noqa: ANN401 - arguments of timm
    model: nn.Module = _timm().create_model(name, **arguments)
    return model


def _require_whole_patches(model: nn.Module, config: TimmConfig, size: int) -> None:
    """Reject a size at which a transformer would ignore the last pixels of a row.

    Raises:
        ConfigError: The size is not a multiple of the patch size.
    """
    from timm.layers.patch_embed import PatchEmbed  # noqa: PLC0415 - an optional extra

    embedding = getattr(model, "patch_embed", None)
    patch = embedding.patch_size[0] if isinstance(embedding, PatchEmbed) else 1
    if size % patch:
        smaller = size // patch * patch
        near = [str(each) for each in (smaller, smaller + patch) if each]
        raise ConfigError(
            f"{config.name} works on patches of {patch}x{patch} pixels, which do not fill images"
            f" of {size}x{size}",
            where="backbone.input_size",
            next_step=f"choose {' or '.join(near)}",
        )
