"""The stage store: what was computed once, by content key, on any filesystem that pyarrow knows.

```
<root>/<key>/<attempt>.safetensors    the tensors of one attempt to write this stage
<root>/<key>/manifest.json            written last, in one piece: which attempt counts, its checksum, and plain values
```

A reader trusts nothing without a manifest whose checksum fits. Two writers of one key cannot hurt each other: each has its own
attempt, both write the same content, and the manifest names one of them. No pickle: reading an artifact runs no code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import safetensors.torch
from pyarrow import fs
from safetensors import SafetensorError
from torch import Tensor

from orchestrator.errors import StorageUnavailableError, UserInputError

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """What a stage leaves behind.

    Attributes:
        tensors: By name.
        values: Whatever JSON can hold.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)


class StageStore:
    """Artifacts by key."""

    def __init__(self, uri: str) -> None:
        """Connects to a store; nothing is written yet.

        Args:
            uri: An absolute local path, or an address such as `s3://bucket/folder`.

        Raises:
            UserInputError: No filesystem has this kind of address.
            StorageUnavailableError: The address does not answer.
        """
        self._uri = uri
        try:
            found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri) if "://" in uri else (fs.LocalFileSystem(), uri)
        except (ValueError, NotImplementedError) as error:
            raise UserInputError(f"store.uri = {uri!r}: {error}", next_step="use a local path, s3:// or gs://") from None
        except OSError as error:
            raise StorageUnavailableError(f"the stage store cannot be reached ({error})", where=uri, next_step="check store.uri") from None
        self._filesystem, self._root = found

    def check_writable(self) -> None:
        """Writes and removes a file: what cannot be stored should not be computed.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        probe = f"probe-{uuid.uuid4().hex}"
        with self._writing():
            self._filesystem.create_dir(self._root, recursive=True)
            self._write(self._path(probe), b"")
            self._filesystem.delete_file(self._path(probe))

    def save(self, key: str, artifact: Artifact) -> None:
        """Writes an artifact; an existing one of the same key is replaced by the same content.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        content = safetensors.torch.save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in artifact.tensors.items()})
        attempt = f"{uuid.uuid4().hex}.safetensors"
        manifest = {"attempt": attempt, "sha256": hashlib.sha256(content).hexdigest(), "values": artifact.values}
        with self._writing():
            self._filesystem.create_dir(self._path(key), recursive=True)
            self._write(self._path(key, attempt), content)
            self._replace(self._path(key, _MANIFEST), json.dumps(manifest).encode())

    def load(self, key: str) -> Artifact | None:
        """Reads an artifact; None when there is none. A torn or corrupt one is moved aside with a warning.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        try:
            if self._filesystem.get_file_info(self._path(key, _MANIFEST)).type == fs.FileType.NotFound:
                return None
            manifest_text = self._read(self._path(key, _MANIFEST))
            try:
                return self._open(key, json.loads(manifest_text))
            except (ValueError, KeyError, TypeError, FileNotFoundError, SafetensorError) as error:
                logger.warning("stage %s in %s is damaged (%s); it is moved aside and computed again", key[:12], self._uri, error)
                self._filesystem.move(self._path(key, _MANIFEST), self._path(key, f"damaged-{uuid.uuid4().hex[:8]}.json"))
                return None
        except OSError as error:
            raise StorageUnavailableError(
                f"the stage store cannot be read ({error})", where=self._uri, next_step="check store.uri and its permissions"
            ) from None

    def _open(self, key: str, manifest: dict[str, Any]) -> Artifact:
        content = self._read(self._path(key, manifest["attempt"]))
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            msg = "its checksum does not fit"
            raise ValueError(msg)
        return Artifact(safetensors.torch.load(content), manifest["values"])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "check store.uri, its permissions and free space"
            raise StorageUnavailableError(f"the stage store cannot be written ({error})", where=self._uri, next_step=advice) from None

    def _path(self, *parts: str) -> str:
        return "/".join([self._root, *parts])

    def _read(self, path: str) -> bytes:
        with self._filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def _write(self, path: str, content: bytes) -> None:
        with self._filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def _replace(self, path: str, content: bytes) -> None:
        """Writes in one piece: object storage shows a file only when it is complete; a local file gets a temporary name first."""
        if not isinstance(self._filesystem, fs.LocalFileSystem):
            self._write(path, content)
            return
        temporary = f"{path}.{uuid.uuid4().hex}"
        self._write(temporary, content)
        self._filesystem.move(temporary, path)
