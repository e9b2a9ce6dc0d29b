"""Store computed results by content key, on any filesystem that pyarrow supports.

```
<root>/<key>/<sha256>.safetensors                the tensors
<root>/<key>/manifest.json                       written last: checksum, and JSON values
<root>/progress/<key>/<phase>/…                  the newest epoch checkpoint of a stage
```

A reader uses only tensors whose checksum is in the manifest. Two writers of one key cannot corrupt
each other's files: files appear atomically, the tensors' file is named by its checksum, and equal
keys mean equal content. Nothing is pickled, so reading an artifact executes no code.
"""

from __future__ import annotations

import errno
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from orchestrator.data.filesystems import connect, keys_advice
from orchestrator.errors import StorageUnavailableError
from orchestrator.masking import hide, shown
from orchestrator.stages.artifact_files import MANIFEST, TEMPORARY, ArtifactFiles, read_manifest

if TYPE_CHECKING:
    from orchestrator.models.artifact import Artifact

PROGRESS = "progress"
_USE_NOTED_AFTER_SECONDS = 30 * 60


class StageStore:
    """Save and load artifacts by key.

    Attributes:
        uri: The store's address for display, without secrets.
        filesystem: Filesystem that contains the store.
        root: Path of the store in the filesystem.
    """

    def __init__(self, uri: str) -> None:
        """Connect to a store; nothing is written yet.

        Args:
            uri: An absolute local path, or an address such as `s3://bucket/folder`.

        Raises:
            UserInputError: No filesystem supports this kind of address.
            StorageUnavailableError: The address does not answer.
        """
        self.uri, self._address = shown(uri), uri
        self.filesystem, self.root = connect(uri, "store.uri", "the stage store")
        self._files = ArtifactFiles(self.filesystem, self.uri)

    def check_writable(self) -> None:
        """Check that the store can be written, by writing and removing a file. Call this method
        before a long computation whose results are to be stored.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        probe = self.path(f"{TEMPORARY}{uuid.uuid4().hex}")
        with self._writing():
            self.filesystem.create_dir(self.root, recursive=True)
            try:
                self._files.write(probe, b"")
            finally:
                self._files.remove_file(probe)

    def save(self, key: str, artifact: Artifact) -> None:
        """Write an artifact, replacing an existing artifact of the same key; equal keys mean equal
        content.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self._folder(key)
            self._files.put(folder, artifact)
            # Remove only temporary files: tensors may belong to a manifest that another writer is
            # about to write.
            self._files.sweep(folder, lambda name: name.startswith(TEMPORARY))

    def load(self, key: str) -> Artifact | None:
        """Read an artifact; None if it is missing. An incomplete or corrupt artifact is moved aside
        with a warning, and then counts as missing.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            artifact = self._files.get(self._folder(key), f"stage {key[:12]}")
        if artifact is not None:
            self.note_use([key])
        return artifact

    def load_mapped(self, key: str) -> Artifact | None:
        """Read an artifact like `load`. On a local disk, its tensors are memory-mapped, so that
        only the pages that are used take memory.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            artifact = self._files.get(
                self._folder(key),
                f"stage {key[:12]}",
                mapped=isinstance(self.filesystem, fs.LocalFileSystem),
            )
        if artifact is not None:
            self.note_use([key])
        return artifact

    def values_of(self, key: str) -> dict[str, Any] | None:
        """Return only the JSON values of an artifact, without reading or checking its tensors; None
        if the artifact is missing.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            text = self._files.manifest(self._folder(key))
        try:
            return None if text is None else read_manifest(text).values
        except ValueError:
            return None

    def stored(self, keys: Iterable[str]) -> frozenset[str]:
        """Return those of the given keys for which the store has an artifact.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        wanted = sorted(set(keys))
        with self._reading():
            found = self.filesystem.get_file_info([self.path(key, MANIFEST) for key in wanted])
        return frozenset(key for key, info in zip(wanted, found, strict=True) if info.is_file)

    def read_file(self, name: str) -> bytes | None:
        """Return the content of a file in the store's root folder; None if the file is missing.

        Raises:
            OSError: The store cannot be read.
        """
        try:
            return self._files.read(self.path(name))
        except FileNotFoundError:
            return None

    def write_file(self, name: str, content: bytes) -> None:
        """Write a file into the store's root folder atomically.

        Raises:
            OSError: The store cannot be written.
        """
        self._files.replace(self.path(name), content)

    def move_aside(self, key: str, name: str, problem: object) -> None:
        """Move a corrupt artifact aside: rename its manifest, so that readers no longer find the
        artifact. Call this method if the checksum matches, but the content is unexpected.

        Args:
            key: Key of the artifact.
            name: Name of the artifact in the warning.
            problem: Description of the defect.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            self._files.move_aside(self._folder(key), name, problem)

    def note_use(self, keys: Sequence[str]) -> None:
        """Record that artifacts were used, by rewriting their manifests. A clean-up of the store
        removes artifacts whose manifests are old.

        For a recent manifest, or in a read-only store, do nothing.
        """
        with suppress(OSError):
            for info in self.filesystem.get_file_info([self.path(key, MANIFEST) for key in keys]):
                if (
                    info.mtime is not None
                    and time.time() - info.mtime.timestamp() > _USE_NOTED_AFTER_SECONDS
                ):
                    self._files.replace(info.path, self._files.read(info.path))

    def save_progress(self, key: str, phase: str, artifact: Artifact) -> None:
        """Store the newest epoch checkpoint of an unfinished stage, replacing the previous one.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self._folder(PROGRESS, key, phase)
            written = self._files.put(folder, artifact)
            self._files.sweep(folder, lambda name: name not in written)

    def load_progress(self, key: str, phase: str) -> Artifact | None:
        """Return the newest epoch checkpoint of an unfinished stage; None if it is missing or
        corrupt.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            return self._files.get(
                self._folder(PROGRESS, key, phase), f"epoch checkpoint of stage {key[:12]}"
            )

    def has_progress(self, key: str) -> bool:
        """Return whether the store has epoch checkpoints of a stage. If so, the stage was started
        but has not finished.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            return bool(
                self.filesystem.get_file_info(self.path(PROGRESS, key)).type != fs.FileType.NotFound
            )

    def clear_progress(self, key: str) -> None:
        """Remove the epoch checkpoints of a finished stage.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        self.remove_folder(PROGRESS, key)

    def path(self, *parts: str) -> str:
        """Return the path of a file or folder of the store, in the store's filesystem."""
        return "/".join([self.root, *parts])

    def _folder(self, *parts: str) -> str:
        """Return the path of an artifact's folder.

        Raises:
            OSError: The folder is a symbolic link on a local disk, which may point anywhere.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            for number in range(len(parts)):
                place = Path(self.path(*parts[: number + 1]))
                if place.is_symlink():
                    raise OSError(errno.ELOOP, "is a link, remove it", str(place))
        return self.path(*parts)

    def remove_folder(self, *parts: str) -> None:
        """Remove a folder in the store, if it exists.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            self._files.remove_folder(self.path(*parts))

    def unavailable(self, done: str, error: OSError, advice: str) -> StorageUnavailableError:
        """Return the error for a store that cannot be used.

        Args:
            done: What cannot be done with the store, as a participle such as "written".
            error: Error of the filesystem.
            advice: Next step for the user.
        """
        what = f"the stage store cannot be {done} ({hide(error, self._address)})"
        next_step = f"{advice}{keys_advice(self._address)}"
        return StorageUnavailableError(what, where=self.uri, next_step=next_step)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "check store.uri, its permissions and free space"
            raise self.unavailable("written", error, advice) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "check store.uri and its permissions"
            raise self.unavailable("read", error, advice) from None
