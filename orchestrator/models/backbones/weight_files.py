"""Load pre-trained weights from files, with clear errors if loading fails."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from orchestrator.config.backbones import is_weight_file
from orchestrator.errors import ConfigError

# errors that torch and safetensors raise for invalid files and for weights of other networks
_ERRORS = (
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
    AttributeError,
    TypeError,
    ValueError,
)


def load_weights(model: nn.Module, file: Path, name: str) -> None:
    """Load a file of weights into a network; the file must hold exactly the network's weights.

    Args:
        model: The network.
        file: A `.safetensors` file, or a file with a state dict of torch.
        name: Name of the network, for messages.

    Raises:
        ConfigError: The file cannot be read, or does not fit the network.
    """
    with explained(name, str(file)):
        state: dict[str, Any] = (
            safetensors.torch.load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
        model.load_state_dict(state)


def digest(file: Path, name: str) -> str:
    """Return the SHA-256 of a file of weights. The result is cached until the file changes.

    Args:
        file: The file.
        name: Name of the network, for messages.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        now = file.stat()
        return _digest(
            file, (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        )
    except OSError as error:
        raise cannot_load(name, str(file), error) from None


# Cached, because a sweep needs the digest for every trial, both to plan and to run.
@lru_cache(maxsize=16)
def _digest(file: Path, version: tuple[int, ...]) -> str:  # noqa: ARG001 - part of the cache's key
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def explained(name: str, weights: str) -> Iterator[None]:
    """Convert errors during loading into an error that names the weights.

    Args:
        name: Name of the network.
        weights: File or name of the weights.

    Raises:
        ConfigError: The weights cannot be loaded.
    """
    try:
        yield
    except _ERRORS as error:
        raise cannot_load(name, weights, error) from None


def cannot_load(name: str, weights: str, error: Exception) -> ConfigError:
    """Return the error about weights that cannot be loaded.

    Args:
        name: Name of the network.
        weights: File or name of the weights.
        error: The reason.
    """
    reason = str(error).strip().splitlines() or [type(error).__name__]
    is_download = isinstance(error, OSError) and not is_weight_file(weights)
    advice = (
        "give a file of weights in backbone.weights"
        if is_download
        else "give weights of this network, or null"
    )
    return ConfigError(
        f"the weights {weights!r} of {name} cannot be loaded ({' '.join(reason[:2])})",
        where="backbone.weights",
        next_step=advice,
    )


def extra_is_missing(kind: str, extra: str) -> ConfigError:
    """Return the error about a backbone kind whose optional packages are not installed."""
    return ConfigError(
        f"{kind} needs the extra `{extra}`, which is not installed",
        where="backbone.kind",
        next_step=(
            f"pip install '.[{extra}]' in the checkout, or the wheel as 'FILE.whl[{extra}]'"
        ),
    )
