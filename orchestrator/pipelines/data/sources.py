"""Turn a source of images, as named on the command line, into a data configuration."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from orchestrator.config.addresses import absolute_path, below
from orchestrator.config.data import (
    DataConfig,
    DigitsConfig,
    ImageFolderConfig,
    ParquetConfig,
    TorchvisionDataConfig,
)
from orchestrator.data.parquet_files import find_parquet_files
from orchestrator.data.sources.image_folder import has_class_folders
from orchestrator.errors import DataError, UserInputError

_TORCHVISION = "torchvision:"
_TEST_NAMES = ("test", "val", "valid", "validation")
_FORMS = (
    "give a folder with one sub-folder per class, Parquet files (also at s3:// or gs://),"
    " torchvision:NAME, or digits"
)


def named_source(
    source: str,
    root: Path | None,
    download: bool,
    test_fraction: float | None,
    image_size: int = 32,
) -> DataConfig:
    """Return the data configuration of a source of images.

    Args:
        source: A folder of images; Parquet files (a file, a folder or a glob pattern, on disk or in
            object storage); `torchvision:NAME`; or `digits`.
        root: The folder of torchvision's files; None for other sources.
        download: Whether torchvision may download missing files.
        test_fraction: Share of each class's images that becomes test data if the source has no test
            data; None means the source's default.
        image_size: Side in pixels to which images are resized.

    Raises:
        UserInputError: The source does not exist.
        StorageUnavailableError: Object storage does not answer.
    """
    if not source:
        raise UserInputError("the source is empty", next_step=_FORMS)
    if not source.startswith(_TORCHVISION) and (root is not None or download):
        raise UserInputError(
            "--root and --download are for torchvision:NAME",
            where=source,
            next_step="omit them",
        )
    share: dict[str, Any] = {} if test_fraction is None else {"test_fraction": test_fraction}
    if source == "digits":
        return DigitsConfig(**share)
    if source.startswith(_TORCHVISION):
        name = source.removeprefix(_TORCHVISION)
        if not name:
            raise UserInputError(
                f"{source} names no data set", next_step="for example torchvision:CIFAR10"
            )
        if root is None:
            raise UserInputError(
                f"{source} needs --root",
                next_step="name the folder that holds the data set's files, or that will hold them",
            )
        return TorchvisionDataConfig(
            name=name, root=_local(root), download=download, image_size=image_size, **share
        )
    if "://" in source:
        train, test = _remote_parquet(source)
        return ParquetConfig(train=train, test=test, image_size=image_size, **share)
    path = _local(source)
    if path.is_dir() and not _has_parquet(path):
        train_folder, test_folder = _folders(path)
        return ImageFolderConfig(
            train=train_folder, test=test_folder, image_size=image_size, **share
        )
    train, test = _parquet(path)
    return ParquetConfig(train=train, test=test, image_size=image_size, **share)


def _local(path: str | Path) -> Path:
    try:
        return absolute_path(path)
    except ValueError as error:
        raise UserInputError(str(error)) from None


def _has_parquet(folder: Path) -> bool:
    return any(next(place.glob("*.parquet"), None) for place in (folder, folder / "train"))


def _folders(folder: Path) -> tuple[Path, Path | None]:
    """Return the training folder and the test folder of a folder of images; None for a missing test
    folder.

    The folder `train` is the training folder only if it contains class folders. Otherwise `train`
    is an ordinary class, and the whole folder is the training folder.
    """
    if not has_class_folders(folder / "train"):
        return folder, None
    return folder / "train", next(
        (folder / name for name in _TEST_NAMES if (folder / name).is_dir()), None
    )


def _parquet(path: Path) -> tuple[str, str | None]:
    """Return the paths of the training and test halves of Parquet files on disk.

    The halves are sub-folders named `train` and `test`, or files whose names start with `train` and
    `test`, as on Hugging Face. Any name in `_TEST_NAMES` can replace `test`. Without such folders
    and files, all files are training data, and the test half is None.
    """
    if not path.is_dir():
        if path.suffix != ".parquet" or not (path.is_file() or glob.glob(str(path))):  # noqa: PTH207 - the pattern is absolute
            what = (
                "no such file or folder"
                if not path.exists()
                else "is neither a folder nor a Parquet file"
            )
            raise UserInputError(what, where=str(path), next_step=_FORMS)
        return str(path), None
    if (path / "train").is_dir():
        return str(path / "train"), next(
            (str(path / name) for name in _TEST_NAMES if (path / name).is_dir()), None
        )
    if not [*path.glob("train*.parquet")]:
        return str(path), None
    pattern = glob.escape(str(path))
    test = next((name for name in _TEST_NAMES if [*path.glob(f"{name}*.parquet")]), None)
    return f"{pattern}/train*.parquet", f"{pattern}/{test}*.parquet" if test else None


def _remote_parquet(address: str) -> tuple[str, str | None]:
    """Return the addresses of the training and test halves of Parquet files in object storage; None
    for a missing test half.
    """
    for names in ("{}/*.parquet", "{}*.parquet"):
        train, *tests = (
            below(address, *names.format(name).split("/")) for name in ("train", *_TEST_NAMES)
        )
        if _is_there(train):
            return train, next(filter(_is_there, tests), None)
    return address, None


def _is_there(address: str) -> bool:
    try:
        return bool(find_parquet_files(address))
    except DataError:
        return False
