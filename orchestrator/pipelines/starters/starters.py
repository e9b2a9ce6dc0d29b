"""Copy the experiments and search spaces that ship with the package into a user's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import UserInputError
from orchestrator.whole_files import write_whole

_PACKAGE = Path(__file__).parents[2]
# The starters (experiments and search spaces that ship with the package) are inside an installed
# package. In a checkout, the starters are in the folder that contains the package.
_PLACES = (_PACKAGE / "starters", _PACKAGE.parent)
_FOLDERS = ("experiments", "search_spaces")
_SUFFIXES = (".yaml", ".py", ".md")


@dataclass(frozen=True)
class CopiedStarters:
    """Result of copying the starters. The paths of all files are relative to `folder`.

    Attributes:
        folder: The target folder.
        written: Files that were written.
        kept: Existing files that differ from the starter and were not changed.
        equal: Existing files with the same content as the starter.
    """

    folder: Path
    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    equal: list[Path] = field(default_factory=list)


def copy_starters(folder: Path) -> CopiedStarters:
    """Copy every starter (an experiment or a search space that ships with the package) that is
    missing from a folder. Existing files are not changed.

    Raises:
        UserInputError: The folder cannot be created or written.
    """
    copied = CopiedStarters(folder)
    try:
        for source, name in _starters():
            target, content = folder / name, source.read_bytes()
            if target.exists():
                (copied.equal if target.read_bytes() == content else copied.kept).append(name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
            copied.written.append(name)
    except OSError as error:
        raise UserInputError(
            f"cannot be written to ({error.strerror or error})", str(folder), "name another folder"
        ) from None
    return copied


def _starters() -> Iterator[tuple[Path, Path]]:
    """Yield two paths of every starter (a file that ships with the package): the path of the file,
    and the path of its copy within the target folder.
    """
    place = next(place for place in _PLACES if (place / _FOLDERS[0]).is_dir())
    for folder in _FOLDERS:
        for file in sorted((place / folder).iterdir()):
            if file.suffix in _SUFFIXES:
                yield file, file.relative_to(place)
