"""What a person names as a source on the command line → its configuration."""

from __future__ import annotations

import glob
from pathlib import Path

from orchestrator.config.data import DataConfig, DigitsConfig, ImageFolderConfig, ParquetConfig, TorchvisionDataConfig
from orchestrator.data.image_folder import has_class_folders
from orchestrator.errors import UserInputError

_TORCHVISION = "torchvision:"
_TEST_NAMES = ("test", "val", "valid", "validation")
_FORMS = "give a folder with one sub-folder a class, Parquet files, torchvision:NAME, or digits"


def named_source(source: str, root: Path | None, download: bool, test_fraction: float, image_size: int = 32) -> DataConfig:
    """The configuration that reads a source.

    Args:
        source: A folder, a Parquet file or pattern, `torchvision:NAME` or `digits`.
        root: Where torchvision's files are.
        download: Whether torchvision may download what is missing.
        test_fraction: Share of each class's images that becomes test data where there are none.
        image_size: Side in pixels to which images are resized.

    Raises:
        UserInputError: There is no such source.
    """
    if source == "digits":
        return DigitsConfig()
    if source.startswith(_TORCHVISION):
        if root is None:
            raise UserInputError(f"{source} needs --root", next_step="name the folder that has, or shall have, its files")
        name = source.removeprefix(_TORCHVISION)
        return TorchvisionDataConfig(name=name, root=root, download=download, test_fraction=test_fraction, image_size=image_size)
    path = Path(source).expanduser().absolute()
    if path.is_dir() and not _has_parquet(path):
        train, test = _folders(path)
        return ImageFolderConfig(train=train, test=test, test_fraction=test_fraction, image_size=image_size)
    train, test = _parquet(path)
    return ParquetConfig(train=train, test=test, test_fraction=test_fraction, image_size=image_size)


def _has_parquet(folder: Path) -> bool:
    return any(next(place.glob("*.parquet"), None) for place in (folder, folder / "train"))


def _folders(folder: Path) -> tuple[Path, Path | None]:
    """The halves of a folder of images; a class may be called `train`: then it holds images, and no class folders."""
    if not has_class_folders(folder / "train"):
        return folder, None
    return folder / "train", next((folder / name for name in _TEST_NAMES if (folder / name).is_dir()), None)


def _parquet(path: Path) -> tuple[Path, Path | None]:
    """The halves of Parquet files: folders `train` and `test`, or files whose names begin so, as Hugging Face has them."""
    if not path.is_dir():
        if path.suffix != ".parquet" or not (path.is_file() or glob.glob(str(path))):  # noqa: PTH207 - the pattern is absolute
            what = "no such file or folder" if not path.exists() else "is neither a folder nor a Parquet file"
            raise UserInputError(what, where=str(path), next_step=_FORMS)
        return path, None
    if (path / "train").is_dir():
        return path / "train", next((path / name for name in _TEST_NAMES if (path / name).is_dir()), None)
    if not [*path.glob("train*.parquet")]:
        return path, None
    pattern = Path(glob.escape(str(path)))
    test = next((name for name in _TEST_NAMES if [*path.glob(f"{name}*.parquet")]), None)
    return pattern / "train*.parquet", pattern / f"{test}*.parquet" if test else None
