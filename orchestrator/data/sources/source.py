"""Define the protocol of a kind of image source.

No code outside `data.sources` and `config` distinguishes kinds of sources. The configuration
provides all facts that are known before a source is opened, and an `ImageSource` provides all other
facts.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from orchestrator.config.data import DataConfig
from orchestrator.config.extensions import Extension, load_extension
from orchestrator.config.image_source import ResizedSourceConfig
from orchestrator.data.samples import ImageSource
from orchestrator.data.splitting import SplitByContent
from orchestrator.errors import ConfigError


@runtime_checkable
class SourceKind(Protocol):
    """Protocol of an object that opens the image sources of one kind, such as `parquet`."""

    def open(self, config: Any) -> ImageSource:  # noqa: ANN401 - the kind's own configuration
        """Return the image source of a configuration of this kind.

        Raises:
            DataError: The source has no readable images.
        """
        ...


def source_kind_of(config: DataConfig) -> SourceKind:
    """Return the object that opens the sources of a configuration's kind.

    For a built-in kind, this is the object SOURCE of the module with the name of the kind. For any
    other kind, an installed distribution provides the object (see `config.extensions`).

    Raises:
        ConfigError: The extension cannot be loaded, or is not an image source.
    """
    if isinstance(config, Extension):
        found: Any = load_extension(config)
    else:
        found = import_module(f"orchestrator.data.sources.{config.kind}").SOURCE
    if not isinstance(found, SourceKind):
        raise _unusable(config, "has no function `open`")
    kind: SourceKind = found
    return kind


def open_source(config: DataConfig) -> ImageSource:
    """Return the image source of a configuration. A source without test images is split into
    training and test images.

    Raises:
        ConfigError: The extension cannot be loaded, or is not an image source.
        DataError: The source has no readable images.
    """
    source = source_kind_of(config).open(config)
    if not hasattr(source, "has_test_half"):
        raise _unusable(config, f"returned {source!r} from `open`, which is not an ImageSource")
    if source.has_test_half or not isinstance(config, ResizedSourceConfig):
        return source
    return SplitByContent(source, config.test_fraction)


def _unusable(config: DataConfig, problem: str) -> ConfigError:
    return ConfigError(
        f"the image source {config.kind!r} {problem}",
        "data.kind",
        "update or uninstall the package that provides it",
    )
