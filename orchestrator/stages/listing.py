"""What lies in a stage store: a local disk is asked folder by folder, object storage once."""

from __future__ import annotations

from functools import cached_property

from pyarrow import fs

from orchestrator.stages.store import StageStore


class Listing:
    """The files and folders of a store.

    A request for every folder of a hundred thousand would take hours on object storage, which lists
    a thousand files a request. What is removed by such a listing is looked at again before.
    """

    def __init__(self, store: StageStore) -> None:
        """Lists nothing yet."""
        self._store = store
        self._is_local = isinstance(store.filesystem, fs.LocalFileSystem)

    def children(self, folder: str) -> list[fs.FileInfo]:
        """Return what lies directly in a folder, by path; nothing where there is no such folder."""
        return children_of(self._store, folder) if self._is_local else self._listed.get(folder, [])

    def inside(self, folder: str) -> list[fs.FileInfo]:
        """Return all that lies in a folder, at whatever depth, by path."""
        if self._is_local:
            return children_of(self._store, folder, recursive=True)
        found = list(self.children(folder))
        for info in found:  # it grows
            if info.type == fs.FileType.Directory:
                found += self.children(info.path)
        return sorted(found, key=lambda info: str(info.path))

    def is_outdated(self, path: str) -> bool:
        """Return whether a folder has changed since it was listed."""
        if self._is_local or path not in self._listed:
            return False
        now = children_of(self._store, path, recursive=True)
        known = {info.path: info.mtime for info in self.inside(path) if info.is_file}
        return {info.path: info.mtime for info in now if info.is_file} != known

    @cached_property
    def _listed(self) -> dict[str, list[fs.FileInfo]]:
        """Everything by the folder in which it lies."""
        found: dict[str, list[fs.FileInfo]] = {}
        for info in children_of(self._store, self._store.root, recursive=True):
            found.setdefault(info.path.rpartition("/")[0], []).append(info)
        return found


def children_of(store: StageStore, folder: str, recursive: bool = False) -> list[fs.FileInfo]:
    """Return what lies in a folder, by path; nothing where there is no such folder."""
    found = store.filesystem.get_file_info(
        fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
    )
    return sorted(found, key=lambda info: str(info.path))
