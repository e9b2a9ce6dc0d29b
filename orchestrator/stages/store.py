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

import errno
import time
import uuid
from collections.abc import Iterator, Sequence
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
    """Artifacts by key.

    Attributes:
        uri: Its address as it is shown, without secrets.
        filesystem: Where it lies.
        root: The path within.
    """

    def __init__(self, uri: str) -> None:
        """Connects to a store; nothing is written yet.

        Args:
            uri: An absolute local path, or an address such as `s3://bucket/folder`.

        Raises:
            UserInputError: No filesystem has this kind of address.
            StorageUnavailableError: The address does not answer.
        """
        self.uri, self._address = shown(uri), uri
        self.filesystem, self.root = connect(uri, "store.uri", "the stage store")
        self._files = ArtifactFiles(self.filesystem, self.uri)

    def check_writable(self) -> None:
        """Writes and removes a file: what cannot be stored should not be computed.

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
        """Writes an artifact; an existing one of the same key is replaced by the same content.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self._folder(key)
            self._files.put(folder, artifact)
            # tensors of another manifest may be what another writer is about to name
            self._files.sweep(folder, lambda name: name.startswith(TEMPORARY))

    def load(self, key: str) -> Artifact | None:
        """Reads an artifact; None when there is none. A torn or corrupt one is moved aside with a
        warning.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            artifact = self._files.get(self._folder(key), f"stage {key[:12]}")
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
            artifact = self._files.get(
                self._folder(key),
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
            text = self._files.manifest(self._folder(key))
        try:
            return None if text is None else read_manifest(text).values
        except ValueError:
            return None

    def move_aside(self, key: str, name: str, problem: object) -> None:
        """Take an artifact for damaged that is whole, and yet not what it should be.

        Args:
            key: Its key.
            name: What to call it in the warning.
            problem: What is wrong with it.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            self._files.move_aside(self._folder(key), name, problem)

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
                    self._files.replace(info.path, self._files.read(info.path))

    def save_progress(self, key: str, phase: str, artifact: Artifact) -> None:
        """Keeps the newest epoch checkpoint of an unfinished stage, in place of the one before.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            folder = self._folder(PROGRESS, key, phase)
            written = self._files.put(folder, artifact)
            self._files.sweep(folder, lambda name: name not in written)

    def load_progress(self, key: str, phase: str) -> Artifact | None:
        """The newest epoch checkpoint of an unfinished stage; None when there is none that is
        whole.

        Raises:
            StorageUnavailableError: The store cannot be read.
        """
        with self._reading():
            return self._files.get(
                self._folder(PROGRESS, key, phase), f"epoch checkpoint of stage {key[:12]}"
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

    def _folder(self, *parts: str) -> str:
        """Return the path of an artifact's folder.

        Raises:
            OSError: It is a link on a local disk: it may lead anywhere.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            for number in range(len(parts)):
                place = Path(self.path(*parts[: number + 1]))
                if place.is_symlink():
                    raise OSError(errno.ELOOP, "is a link, remove it", str(place))
        return self.path(*parts)

    def remove_folder(self, *parts: str) -> None:
        """Removes a folder within the store, if it is there.

        Raises:
            StorageUnavailableError: The store cannot be written.
        """
        with self._writing():
            self._files.remove_folder(self.path(*parts))

    def unavailable(self, done: str, error: OSError, advice: str) -> StorageUnavailableError:
        """Return the error of a store that cannot be written, read, or whatever was to be done."""
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
