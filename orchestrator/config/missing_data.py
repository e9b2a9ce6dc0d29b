"""Find the local paths in an experiment's data settings at which no file or folder exists."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.config.data import TorchvisionDataConfig
from orchestrator.config.experiment import Experiment


def missing_data(experiment: Experiment) -> list[str]:
    """Return one message of the form `data.train = PATH: …` for each local data path that does not
    exist. Addresses of buckets are not checked.
    """
    data, unlabeled = experiment.data, experiment.data.unlabeled
    downloads = isinstance(data, TorchvisionDataConfig) and data.download
    missing = [] if downloads else list(_missing("data", data.places))
    return missing + list(_missing("data.unlabeled", unlabeled.places if unlabeled else {}))


def _missing(section: str, places: Mapping[str, str]) -> Iterator[str]:
    named: set[str] = set()  # without separate test images, `test` repeats the place of `train`
    for field, place in places.items():
        if place not in named and "://" not in place and not _is_there(place):
            yield f"{section}.{field} = {place!r}: no such file on this machine"
        named.add(place)


def _is_there(place: str) -> bool:
    # a path that looks like a pattern may also be the literal name of a file
    return Path(place).exists() or bool(glob.glob(place))  # noqa: PTH207 - the pattern may be absolute
