"""Read data sets of torchvision by name, from a local copy or by download."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any

import torchvision

from orchestrator.config.data import TorchvisionDataConfig
from orchestrator.config.image_source import Half
from orchestrator.data.decoding import opening_named_formats
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import HALVES, Label, Sample
from orchestrator.errors import DataError, StorageUnavailableError

# Names that torchvision's data sets give their training and test halves, in the order in which the
# names are tried.
_SPLITS: dict[Half, tuple[str, ...]] = {
    "train": ("train", "trainval", "train-standard"),
    "test": ("test", "val", "valid"),
}


class TorchvisionSource:
    """Source of the images of a `torchvision.datasets` class. If the class only opens image files,
    the content of the files is passed on unchanged.
    """

    def __init__(self, config: TorchvisionDataConfig) -> None:
        """Look up the class of the data set without reading any data.

        Args:
            config: Name, root, download, and further arguments for the class of the data set.

        Raises:
            DataError: torchvision has no data set of this name.
        """
        kind = getattr(torchvision.datasets, config.name, None)
        if (
            not inspect.isclass(kind)
            or not hasattr(kind, "__len__")
            or kind.__len__ is torchvision.datasets.VisionDataset.__len__
        ):
            advice = (
                "names are"
                f" {', '.join(sorted({*torchvision.datasets.__all__} - {'VisionDataset'}))}"
            )
            raise DataError(
                f"torchvision has no data set {config.name!r}", where="data.name", next_step=advice
            )
        self.name = config.name
        self._config = config
        self._kind: Any = kind
        self._parameters = _parameters(kind)
        self._one_at_a_time = Lock()

    @classmethod
    def open(cls, config: TorchvisionDataConfig) -> TorchvisionSource:
        """Open the source that a configuration describes.

        Raises:
            DataError: torchvision has no data set of the configured name.
        """
        return cls(config)

    @property
    def has_test_half(self) -> bool:
        """Return whether torchvision splits the data set into training and test images."""
        return bool({"train", "split"} & (self._parameters - {*self._config.options}))

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the settings `name` and `options`, of the
        version of torchvision, and of the paths, sizes and modification times of the files below
        the root folder, except files in `data.cache_dir` and in hidden folders.
        """
        if not self._files:
            _ = self._sets  # downloads the files, or raises an error that names missing files
        read = self._config.model_dump_json(include={"name", "options"})
        return hashlib.sha256(
            f"{torchvision.__version__} {read} {self._files}".encode(errors="surrogateescape")
        ).hexdigest()

    def num_images(self, half: Half) -> int:
        """Return the number of training or test images."""
        return len(self._sets[half])

    def place(self, half: Half) -> str:
        """Return the place of the images: the setting `data.root`, the data set's root folder."""
        return self._root

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return an empty sequence: a class without images is no error here, because some data sets
        of torchvision name such classes.
        """
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the images in the order of the data set."""
        names = _class_names(self._sets[half])
        for index in range(self.num_images(half)):
            where = f"{self.name} {half} {index}"
            yield Sample(where, "", where, partial(self._load, half, index, names, where))

    def _load(
        self, half: Half, index: int, names: Sequence[str], where: str
    ) -> tuple[Label, object]:
        # Open images one at a time unless the data set reads plain files: some data sets draw from
        # torch's global generator, and others share an open file.
        with nullcontext() if "loader" in self._parameters else self._opening_images():
            content, target = self._sets[half][index]
        if isinstance(target, str):
            return target, content
        try:
            number = int(target)
        except (TypeError, ValueError):
            what = f"its target is not a class but has type {type(target).__name__}"
            raise DataError(
                what,
                where=where,
                next_step="choose a data set for classification, or other data.options",
            ) from None
        return names[number] if names else number, content

    @contextmanager
    def _opening_images(self) -> Iterator[None]:
        limits = ImageLimits(self._config.max_image_pixels)
        with self._one_at_a_time, opening_named_formats(limits):
            yield

    @cached_property
    def _sets(self) -> dict[Half, Any]:
        if not self.has_test_half:
            return {"train": self._open({}), "test": []}
        if "train" in self._parameters:
            return {half: self._open({"train": half == "train"}) for half in HALVES}
        return {half: self._first_split(half) for half in HALVES}

    def _first_split(self, half: Half) -> Sized:
        """Open the training or test half of the data set. Data sets name their halves differently,
        so several names are tried in order.
        """
        for name in _SPLITS[half]:
            try:
                return self._open({"split": name})
            except _UnknownArgumentError:
                continue
        advice = f"set data.options.split to a value that torchvision.datasets.{self.name} accepts"
        raise DataError(
            f"has no split called {' or '.join(_SPLITS[half])}", where=self.name, next_step=advice
        )

    def _open(self, arguments: Mapping[str, object]) -> Sized:
        given = {"root": self._config.root, "download": False, "loader": _read_bytes, **arguments}
        chosen = {
            name: value for name, value in given.items() if name in self._parameters
        } | self._config.options
        try:
            return _called(self.name, self._kind, chosen)
        except (RuntimeError, OSError, ImportError) as error:
            if not self._config.download or "download" not in self._parameters:
                raise DataError(
                    f"{self.name} is missing ({_line(error)})",
                    where=self._root,
                    next_step=self._advice(),
                ) from None
        try:
            return _called(self.name, self._kind, chosen | {"download": True})
        except (RuntimeError, OSError) as error:
            what = f"{self.name} is missing and cannot be downloaded ({_line(error)})"
            raise StorageUnavailableError(
                what, where=self._root, next_step=self._advice()
            ) from None

    @property
    def _files(self) -> list[tuple[str, int, int]]:
        """Return all files below the root with their sizes and times, except files in
        `data.cache_dir` and in hidden folders.
        """
        found = []
        for place, folders, files in os.walk(self._config.root):
            folders[:] = [
                name
                for name in folders
                if Path(place, name) != self._config.cache_dir and not name.startswith(".")
            ]
            for path in (Path(place, name) for name in files):
                status = path.lstat()
                found.append(
                    (str(path.relative_to(self._config.root)), status.st_size, status.st_mtime_ns)
                )
        return sorted(found)

    @property
    def _root(self) -> str:
        return f"data.root = {self._config.root}"

    def _advice(self) -> str:
        """Return advice for a missing data set: which files to place in which folder."""
        folder, url = (getattr(self._kind, name, None) for name in ("base_folder", "url"))
        if isinstance(folder, str) and isinstance(url, str):
            content = f"{self._config.root / folder}, unpacked from {url},"
        else:
            content = f"what torchvision.datasets.{self.name} expects in its root"
        download = (
            "or set data.download=true"
            if "download" in self._parameters
            else "(torchvision cannot download it)"
        )
        return f"put {content} there, {download} with network access"


class _UnknownArgumentError(Exception):
    """Error: the class of the data set rejects the value of an argument."""


def _called(name: str, kind: Callable[..., Sized], arguments: Mapping[str, object]) -> Sized:
    try:
        return kind(**arguments)
    except TypeError as error:
        raise DataError(
            _line(error), where=f"torchvision.datasets.{name}", next_step="correct data.options"
        ) from None
    except ValueError as error:
        if "split" in arguments:
            raise _UnknownArgumentError from None
        raise DataError(
            _line(error), where=f"torchvision.datasets.{name}", next_step="correct data.options"
        ) from None


def _parameters(kind: type) -> frozenset[str]:
    """Return the names of the arguments of a class, including those that it passes to its base
    class.
    """
    names: set[str] = set()
    for cls in kind.__mro__[:-1]:
        parameters = inspect.signature(cls).parameters.values()
        names |= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(names)


def _class_names(dataset: Any) -> Sequence[str]:  # noqa: ANN401 - data sets share no type
    """Return the class names of a data set. The result is empty if the data set only numbers its
    classes, or if names are not unique.
    """
    names = [
        ", ".join(name) if isinstance(name, tuple) else str(name)
        for name in getattr(dataset, "classes", [])
    ]
    return names if len({*names}) == len(names) else []


def _read_bytes(path: str | Path) -> bytes:
    return Path(path).read_bytes()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


SOURCE = TorchvisionSource
