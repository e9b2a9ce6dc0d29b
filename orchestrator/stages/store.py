"""The stage store: what was computed once, by content key, on any filesystem that pyarrow knows.

```
<root>/<key>/<sha256>.safetensors                the tensors
<root>/<key>/manifest.json                       written last: checksum, and plain values
<root>/progress/<key>/<phase>/…                  the newest epoch checkpoint of a stage
```

A reader trusts nothing without a manifest whose checksum fits. Two writers of one key cannot hurt
each other: files appear in one piece, under a name made of their content, and equal keys mean equal
content. No pickle: reading an artifact runs no code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from pyarrow import fs
from safetensors import SafetensorError

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.models.artifact import Artifact

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
PROGRESS = "progress"
TEMPORARY = ".tmp-"
_ATTEMPTS = 3
_TORN = "its checksum does not fit"
_USE_NOTED_AFTER_SECONDS = 30 * 60


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
        self.uri = uri
        try:
            found: tuple[fs.FileSystem, str] = (
                fs.FileSystem.from_uri(uri) if "://" in uri else (fs.LocalFileSystem(), uri)
            )
        except (ValueError, NotImplementedError) as error:
            raise UserInputError(
                f"store.uri = {uri!r}: {error}", next_step="use a local path, s3:// or gs://"
            ) from None
        except OSError as error:
            raise StorageUnavailableError(
                f"the stage store cannot be reached ({error})",
                where=uri,
                next_step="check store.uri",
            ) from None
        self.filesystem, self.root = found

    def check_writable(self) -> None:
        """Writes and removes a file: what cannot be stored should not be computed.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        probe = self.path(f"{TEMPORARY}{uuid.uuid4().hex}")
        with self._writing():
            self.filesystem.create_dir(self.root, recursive=True)
            try:
                self._write(probe, b"")
            finally:
                self._remove_file(probe)

    def save(self, key: str, artifact: Artifact) -> None:
        """Writes an artifact; an existing one of the same key is replaced by the same content.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self.path(key)
            self._put(folder, artifact)
            # tensors of another manifest may be what another writer is about to name
            self._sweep(folder, lambda name: name.startswith(TEMPORARY))

    def load(self, key: str) -> Artifact | None:
        """Reads an artifact; None when there is none. A torn or corrupt one is moved aside with a
        warning.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            artifact = self._get(self.path(key), f"stage {key[:12]}")
        if artifact is not None:
            self.note_use([key])
        return artifact

    def load_mapped(self, key: str) -> Artifact | None:
        """Like `load`; of a store on a local disk the tensors are memory-mapped: pages that nobody
        reads are never in memory.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            artifact = self._get(
                self.path(key),
                f"stage {key[:12]}",
                mapped=isinstance(self.filesystem, fs.LocalFileSystem),
            )
        if artifact is not None:
            self.note_use([key])
        return artifact

    def values_of(self, key: str) -> dict[str, Any] | None:
        """Only the plain values of an artifact, without reading or checking its tensors; None when
        there is none.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            text = self._manifest(self.path(key))
        try:
            return None if text is None else dict(json.loads(text)["values"])
        except (ValueError, KeyError, TypeError):
            return None

    def note_use(self, keys: Sequence[str]) -> None:
        """Makes artifacts' old manifests new, where there are any: what is removed as unused goes
        by their age.

        A store that can only be read is left as it is.
        """
        with suppress(OSError):
            for info in self.filesystem.get_file_info([self.path(key, MANIFEST) for key in keys]):
                if (
                    info.mtime is not None
                    and time.time() - info.mtime.timestamp() > _USE_NOTED_AFTER_SECONDS
                ):
                    self._replace(info.path, self._read(info.path))

    def save_progress(self, key: str, phase: str, artifact: Artifact) -> None:
        """Keeps the newest epoch checkpoint of an unfinished stage, in place of the one before.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self.path(PROGRESS, key, phase)
            written = self._put(folder, artifact)
            self._sweep(folder, lambda name: name not in written)

    def load_progress(self, key: str, phase: str) -> Artifact | None:
        """The newest epoch checkpoint of an unfinished stage; None when there is none that is
        whole.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            return self._get(
                self.path(PROGRESS, key, phase), f"epoch checkpoint of stage {key[:12]}"
            )

    def has_progress(self, key: str) -> bool:
        """Whether a stage has been begun and not finished.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            return bool(
                self.filesystem.get_file_info(self.path(PROGRESS, key)).type != fs.FileType.NotFound
            )

    def clear_progress(self, key: str) -> None:
        """Forgets the epoch checkpoints of a stage that is finished.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        self.remove_folder(PROGRESS, key)

    def path(self, *parts: str) -> str:
        """A path within the store, as its filesystem has it."""
        return "/".join([self.root, *parts])

    def remove_folder(self, *parts: str) -> None:
        """Removes a folder within the store, if it is there.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            self._remove_folder(self.path(*parts))

    # --- one artifact in one folder ---------------------------------------------------------------

    def _put(self, folder: str, artifact: Artifact) -> set[str]:
        content = safetensors.torch.save(
            {
                name: tensor.detach().cpu().clone().contiguous()
                for name, tensor in artifact.tensors.items()
            }
        )
        digest = hashlib.sha256(content).hexdigest()
        tensors = f"{digest}.safetensors"
        self.filesystem.create_dir(folder, recursive=True)
        self._replace(f"{folder}/{tensors}", content)
        self._replace(
            f"{folder}/{MANIFEST}",
            json.dumps({"sha256": digest, "values": artifact.values}).encode(),
        )
        return {tensors, MANIFEST}

    def _get(self, folder: str, name: str, mapped: bool = False) -> Artifact | None:
        text = self._manifest(folder)
        while text is not None:
            try:
                return (self._open_mapped if mapped else self._open)(folder, json.loads(text))
            except (ValueError, KeyError, TypeError, FileNotFoundError, SafetensorError) as error:
                newer = self._manifest(folder)
                if newer == text:  # else someone has just written it anew
                    logger.warning(
                        "%s in %s is damaged (%s); it is moved aside and computed again",
                        name,
                        self.uri,
                        error,
                    )
                    with suppress(FileNotFoundError):  # another reader was faster
                        self.filesystem.move(
                            f"{folder}/{MANIFEST}", f"{folder}/damaged-{uuid.uuid4().hex[:8]}.json"
                        )
                    return None
                text = newer
        return None

    def _manifest(self, folder: str) -> bytes | None:
        path = f"{folder}/{MANIFEST}"
        try:
            return (
                None
                if self.filesystem.get_file_info(path).type == fs.FileType.NotFound
                else self._read(path)
            )
        except FileNotFoundError:
            return None

    def _open(self, folder: str, manifest: dict[str, Any]) -> Artifact:
        digest = manifest["sha256"]
        content = self._read(f"{folder}/{digest}.safetensors")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(_TORN)
        return Artifact(safetensors.torch.load(content), manifest["values"])

    def _open_mapped(self, folder: str, manifest: dict[str, Any]) -> Artifact:
        path = f"{folder}/{manifest['sha256']}.safetensors"
        with Path(path).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != manifest["sha256"]:
                raise ValueError(_TORN)
        return Artifact(safetensors.torch.load_file(path), manifest["values"])

    def _sweep(self, folder: str, is_refuse: Callable[[str], bool]) -> None:
        """Removes what interrupted writers, or older content, have left in a folder whose manifest
        is new.
        """
        for info in self.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
            if is_refuse(info.base_name):
                self._remove_file(info.path)

    # --- files ------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "check store.uri, its permissions and free space"
            raise StorageUnavailableError(
                f"the stage store cannot be written ({error})", where=self.uri, next_step=advice
            ) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "check store.uri and its permissions"
            raise StorageUnavailableError(
                f"the stage store cannot be read ({error})", where=self.uri, next_step=advice
            ) from None

    def _read(self, path: str) -> bytes:
        with self.filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def _write(self, path: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def _replace(self, path: str, content: bytes) -> None:
        """Writes in one piece: object storage shows a file only when it is complete; a local file
        gets a temporary name first.
        """
        if not isinstance(self.filesystem, fs.LocalFileSystem):
            self._write(path, content)
            return
        folder, _, name = path.rpartition("/")
        for attempt in range(_ATTEMPTS):
            temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}-{name}"
            try:
                self._write(temporary, content)
                self.filesystem.move(temporary, path)
                return
            except FileNotFoundError:  # another writer of this key has swept the folder in between
                if attempt == _ATTEMPTS - 1:
                    raise
                self.filesystem.create_dir(folder, recursive=True)
            except OSError:
                self._remove_file(temporary)  # a full disk is not helped by half a file
                raise

    def _remove_file(self, path: str) -> None:
        with suppress(FileNotFoundError):  # another writer was faster
            self.filesystem.delete_file(path)

    def _remove_folder(self, path: str) -> None:
        with suppress(FileNotFoundError):
            if self.filesystem.get_file_info(path).type != fs.FileType.NotFound:
                self.filesystem.delete_dir(path)
