"""List the files of a stage store: folder by folder on a local disk, all at once on object
storage.
"""

from __future__ import annotations

from functools import cached_property

from pyarrow import fs

from orchestrator.stages.store import StageStore


class Listing:
    """The files and folders of a store.

    On object storage, one request for each of a hundred thousand folders would take hours. So the
    whole store is listed at once, which returns a thousand files per request. Because the listing
    may be outdated, callers check a folder again before they remove it.
    """

    def __init__(self, store: StageStore) -> None:
        """Keep the store without listing its files."""
        self._store = store
        self._is_local = isinstance(store.filesystem, fs.LocalFileSystem)

    def children(self, folder: str) -> list[fs.FileInfo]:
        """Return the files and folders directly in a folder, sorted by path; none if the folder
        does not exist.
        """
        return children_of(self._store, folder) if self._is_local else self._listed.get(folder, [])

    def inside(self, folder: str) -> list[fs.FileInfo]:
        """Return all files and folders below a folder, at any depth, sorted by path."""
        if self._is_local:
            return children_of(self._store, folder, recursive=True)
        found = list(self.children(folder))
        for info in found:  # the loop body appends to this list
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
        """Return all files and folders of the store, by the path of their parent folder."""
        found: dict[str, list[fs.FileInfo]] = {}
        for info in children_of(self._store, self._store.root, recursive=True):
            found.setdefault(info.path.rpartition("/")[0], []).append(info)
        return found


def children_of(store: StageStore, folder: str, recursive: bool = False) -> list[fs.FileInfo]:
    """Return the files and folders in a folder, sorted by path; none if the folder does not
    exist.
    """
    found = store.filesystem.get_file_info(
        fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
    )
    return sorted(found, key=lambda info: str(info.path))
