"""Find the module or extension that builds a kind of backbone, and identify the network it
builds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from orchestrator.config.backbones import (
    BackboneConfig,
    BuildableBackboneConfig,
    InheritedLayersConfig,
)
from orchestrator.config.extensions import Extension, extension_identity, load_extension
from orchestrator.errors import ConfigError

if TYPE_CHECKING:  # `body` imports torch, which is not needed to identify a backbone
    from orchestrator.models.backbones.body import Body, Shape


@runtime_checkable
class BackboneKind(Protocol):
    """Interface of a built-in kind's module, and of an extension's object.

    A kind with pre-trained weights also defines `weights_identity(config) -> str`. This function
    returns an identity of the weights, such as the SHA-256 of their file. It returns an empty
    string if the configuration requests random weights.
    """

    def build(self, config: Any, shape: Shape) -> Body:  # noqa: ANN401 - the kind's own configuration
        """Build the layers. Their weights are pre-trained, or random numbers from torch's global
        generator.

        Args:
            config: An instance of the kind's configuration.
            shape: (channels, height, width) of the images, after any configured resizing.

        Raises:
            ConfigError: The network does not exist, or its weights cannot be loaded.
        """
        ...


def kind_of(config: BackboneConfig) -> BackboneKind:
    """Return the kind of backbone that a configuration chooses.

    Raises:
        ConfigError: The extension cannot be loaded, or builds no backbones.
    """
    if isinstance(config, Extension):
        found: Any = load_extension(config)
    else:
        found = import_module(f"orchestrator.models.backbones.{config.kind}")
    if not isinstance(found, BackboneKind):
        raise ConfigError(
            f"the backbone {config.kind!r} has no function `build`",
            where="backbone.kind",
            next_step="update or uninstall the package that offers it",
        )
    return found


def weights_identity(config: BuildableBackboneConfig) -> str:
    """Return a text that identifies a backbone's pre-trained weights. If the weights are random,
    return an empty string.

    Raises:
        ConfigError: The network does not exist, or its weights cannot be read.
    """
    if isinstance(config, InheritedLayersConfig):
        return weights_identity(config.base)
    if not isinstance(config, Extension) and "weights" not in type(config).model_fields:
        return ""
    identity = getattr(kind_of(config), "weights_identity", None)
    return "" if identity is None else str(identity(config))


def backbone_identity(config: BuildableBackboneConfig) -> dict[str, Any]:
    """Return a mapping that identifies a backbone: its configuration, with the identity of the
    weights instead of their location. For an extension, the mapping includes the extension's
    version.

    Raises:
        ConfigError: The network does not exist, or its weights cannot be read.
    """
    if isinstance(config, InheritedLayersConfig):
        of_base = backbone_identity(config.base)
        return {"kind": config.kind, "until": config.until, "base": of_base}
    identity = {**config.model_dump(mode="json"), "weights": weights_identity(config)}
    extension = extension_identity(config)
    return {**identity, "extension": extension} if extension else identity
