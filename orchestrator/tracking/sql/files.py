"""Access artifacts in local folders; all other artifacts are read through MLflow."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def local_folder(location: str) -> Path | None:
    """Return the local folder at an artifact location; None if the location is not local.

    Args:
        location: Path, or URI such as `file:///folder` or `s3://bucket/folder`.
    """
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    path = Path(location)
    return path if not parts.scheme and path.is_absolute() else None


def copy_into(source: Path, folder: Path) -> Path:
    """Copy a file or folder into another folder, and return the path of the copy.

    Raises:
        FileNotFoundError: The file or folder does not exist.
    """
    copy = folder / source.name
    if source.is_dir():
        return Path(shutil.copytree(source, copy, dirs_exist_ok=True))
    return Path(shutil.copyfile(source, copy))
