"""Read and write artifacts as files, one folder each, on any filesystem that pyarrow supports.

```
<folder>/<sha256>.safetensors                    the tensors
<folder>/manifest.json                           written last: checksum, and JSON values
```

Files appear atomically, and the tensors' file is named by its checksum. Nothing is pickled, so
reading an artifact executes no code. A corrupt artifact is moved aside: its manifest gets another
name, so that readers no longer find the artifact.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyarrow import fs
from safetensors import SafetensorError

if TYPE_CHECKING:
    from orchestrator.models.artifact import Artifact

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
_ATTEMPTS = 3
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TORN = "its checksum does not match"


class Manifest(NamedTuple):
    """The content of a manifest.

    Attributes:
        sha256: Checksum of the file with the tensors. The name of this file is the checksum with a
            suffix.
        values: The artifact's JSON values.
    """

    sha256: str
    values: dict[str, Any]


def read_manifest(text: bytes) -> Manifest:
    """Return the content of a manifest.

    Raises:
        ValueError: The manifest is not JSON, lacks values, or has a checksum that is not a SHA-256.
            Such a checksum, used as a file name, might point outside of the store.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        msg = "its manifest is nested too deeply"
        raise ValueError(msg) from None
    digest, values = (
        (content.get("sha256"), content.get("values"))
        if isinstance(content, dict)
        else (None, None)
    )
    if isinstance(digest, str) and _DIGEST.fullmatch(digest) and isinstance(values, dict):
        return Manifest(digest, values)
    msg = "its manifest names no checksum, or no values"
    raise ValueError(msg)


class ArtifactFiles:
    """Read and write artifacts on one filesystem. Errors of the filesystem are not translated.

    Attributes:
        filesystem: Filesystem of the artifacts.
        uri: Address of the artifacts' store, for warnings.
    """

    def __init__(self, filesystem: fs.FileSystem, uri: str) -> None:
        self.filesystem = filesystem
        self.uri = uri

    def put(self, folder: str, artifact: Artifact) -> set[str]:
        """Write an artifact into a folder, the manifest last; return the names of all its files."""
        from safetensors.torch import save  # noqa: PLC0415 - torch, as in `_open`

        content = save(
            {
                name: tensor.detach().cpu().clone().contiguous()
                for name, tensor in artifact.tensors.items()
            }
        )
        digest = hashlib.sha256(content).hexdigest()
        tensors = f"{digest}.safetensors"
        self.filesystem.create_dir(folder, recursive=True)
        self.replace(f"{folder}/{tensors}", content)
        self.replace(
            f"{folder}/{MANIFEST}",
            json.dumps({"sha256": digest, "values": artifact.values}).encode(),
        )
        return {tensors, MANIFEST}

    def get(self, folder: str, name: str, mapped: bool = False) -> Artifact | None:
        """Read the artifact of a folder, with its tensors sorted by name; None if the folder has no
        artifact. An incomplete or corrupt artifact is moved aside with a warning.

        Args:
            folder: Folder of the artifact.
            name: Name of the artifact in the warning.
            mapped: Whether to memory-map the tensors instead of reading them. This is possible only
                on a local disk.
        """
        text = self.manifest(folder)
        while text is not None:
            try:
                return (self._open_mapped if mapped else self._open)(folder, read_manifest(text))
            except (ValueError, FileNotFoundError, SafetensorError) as error:
                newer = self.manifest(folder)
                # if another writer has just replaced the manifest, the loop tries the new artifact
                if newer == text:
                    self.move_aside(folder, name, error)
                    return None
                text = newer
        return None

    def move_aside(self, folder: str, name: str, problem: object) -> None:
        """Rename the manifest of a corrupt artifact, so that readers no longer find it.

        Args:
            folder: Folder of the artifact.
            name: Name of the artifact in the warning.
            problem: Description of the defect.
        """
        logger.warning(
            "%s in %s is corrupt (%s); moving it aside to recompute it",
            name,
            self.uri,
            problem,
        )
        with suppress(FileNotFoundError):  # another reader has already renamed the manifest
            self.filesystem.move(
                f"{folder}/{MANIFEST}", f"{folder}/damaged-{uuid.uuid4().hex[:8]}.json"
            )

    def manifest(self, folder: str) -> bytes | None:
        """Read the manifest of a folder; None if the folder has none."""
        path = f"{folder}/{MANIFEST}"
        try:
            return (
                None
                if self.filesystem.get_file_info(path).type == fs.FileType.NotFound
                else self.read(path)
            )
        except FileNotFoundError:
            return None

    def _open(self, folder: str, manifest: Manifest) -> Artifact:
        digest = manifest.sha256
        content = self.read(f"{folder}/{digest}.safetensors")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(_TORN)
        from safetensors.torch import load  # noqa: PLC0415 - reading only values loads no torch

        from orchestrator.models.artifact import Artifact  # noqa: PLC0415

        return Artifact(dict(sorted(load(content).items())), manifest.values)

    def _open_mapped(self, folder: str, manifest: Manifest) -> Artifact:
        path = f"{folder}/{manifest.sha256}.safetensors"
        with Path(path).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != manifest.sha256:
                raise ValueError(_TORN)
        from safetensors.torch import load_file  # noqa: PLC0415 - as in `_open`

        from orchestrator.models.artifact import Artifact  # noqa: PLC0415

        return Artifact(dict(sorted(load_file(path).items())), manifest.values)

    def sweep(self, folder: str, is_refuse: Callable[[str], bool]) -> None:
        """Remove files that interrupted writers, or earlier artifacts, have left in a folder. Call
        this method after a new manifest was written to the folder.

        Args:
            folder: Folder of the artifact.
            is_refuse: Returns whether to remove the file with a given name.
        """
        for info in self.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
            if is_refuse(info.base_name):
                self.remove_file(info.path)

    # --- files ------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """Read a file."""
        with self.filesystem.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file in place: readers may see a part of it."""
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def replace(self, path: str, content: bytes) -> None:
        """Write a file atomically. Object storage shows only complete files; on a local disk, the
        file has a temporary name until it is complete.
        """
        if not isinstance(self.filesystem, fs.LocalFileSystem):
            self.write(path, content)
            return
        folder, _, name = path.rpartition("/")
        for attempt in range(_ATTEMPTS):
            temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}-{name}"
            try:
                self.write(temporary, content)
                self.filesystem.move(temporary, path)
                return
            except FileNotFoundError:  # another writer of this key has removed the temporary file
                if attempt == _ATTEMPTS - 1:
                    raise
                self.filesystem.create_dir(folder, recursive=True)
            except OSError:
                self.remove_file(temporary)  # no reader can use an incomplete file
                raise

    def remove_file(self, path: str) -> None:
        """Remove a file, if it exists."""
        with suppress(FileNotFoundError):  # another writer has already removed the file
            self.filesystem.delete_file(path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder, if it exists."""
        with suppress(FileNotFoundError):
            if self.filesystem.get_file_info(path).type != fs.FileType.NotFound:
                self.filesystem.delete_dir(path)
