"""Group the past files of a folder into arrivals, and order the arrivals for a replay.

An arrival is a group of files that one run of `orchestrator retrain` finds together.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.config.backtest import GroupBy
from orchestrator.data.growing_folder import Folder, SourceFile
from orchestrator.errors import UserInputError
from orchestrator.masking import shown

_TOP = "."  # name of the group of files that are in no subfolder
_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d %H:00", "week": "%G-W%V"}


@dataclass(frozen=True)
class Arrival:
    """Files that one run of `orchestrator retrain` finds together.

    Attributes:
        name: Name of the group: the day, hour or week in which the files were written, the
            folder that contains the files, or the name of a single file.
        files: The files, sorted by name.
    """

    name: str
    files: tuple[SourceFile, ...]

    @property
    def date(self) -> datetime:
        """Return the time at which the newest file of this group was written."""
        return datetime.fromtimestamp(max(file.modified for file in self.files), UTC)


def find_arrivals(uri: str, group_by: GroupBy) -> list[Arrival]:
    """Group the Parquet files of a folder into arrivals (files that arrived together).

    The arrivals are ordered as in `group_files`.

    Raises:
        UserInputError: The folder is missing or contains no Parquet file, or all files form a
            single arrival.
        StorageUnavailableError: The folder does not answer.
    """
    listed = Folder(uri, "--backtest").names()
    files = [file for name, file in listed.items() if name.endswith(".parquet")]
    if not files:
        raise UserInputError(
            f"holds no Parquet file ({len(listed)} other files)" if listed else "is empty",
            where=shown(uri),
            next_step="name the folder of past arrivals: *.parquet with columns image and label",
        )
    arrivals = group_files(files, group_by)
    if len(arrivals) == 1:
        advice = (
            "put the files of each past arrival into this folder"
            if len(files) == 1
            else "separate the arrival's files with --group-by file or --group-by folder"
        )
        what = f"holds one arrival ({arrivals[0].name}); a backtest needs two or more"
        raise UserInputError(what, where=shown(uri), next_step=advice)
    return arrivals


def group_files(files: Sequence[SourceFile], group_by: GroupBy) -> list[Arrival]:
    """Group files into arrivals (files that arrived together), and sort the arrivals by time.

    The time of an arrival is the earliest modification time of its files. If files are grouped by
    folder, arrivals are sorted by the folder's name instead, which is usually a date.
    """
    groups: dict[str, list[SourceFile]] = {}
    for file in sorted(files, key=lambda file: (file.modified, file.name)):
        groups.setdefault(_group_of(file, group_by), []).append(file)
    names = sorted(groups) if group_by == "folder" else list(groups)
    return [
        Arrival(name, tuple(sorted(groups[name], key=lambda file: file.name))) for name in names
    ]


def orders_of(num_arrivals: int, num_orders: int | None, seed: int) -> list[tuple[int, ...]]:
    """Return the orders in which to replay arrivals (groups of files that arrived together).

    Each order is a tuple of arrival indices.

    Args:
        num_arrivals: Number of arrivals. The index of an arrival is its position in the result of
            `group_files`.
        num_orders: Number of different shuffled orders to return; all possible orders are returned
            if there are fewer. None returns only the unshuffled order.
        seed: Seed of the shuffling.
    """
    by_date = tuple(range(num_arrivals))
    if num_orders is None:
        return [by_date]
    generator = random.Random(f"orders {seed}")  # noqa: S311 - a simulation
    if math.factorial(num_arrivals) <= num_orders:
        return list(itertools.permutations(by_date))
    found: dict[tuple[int, ...], None] = {}
    while len(found) < num_orders:
        found[tuple(generator.sample(by_date, num_arrivals))] = None
    return list(found)


def _group_of(file: SourceFile, group_by: GroupBy) -> str:
    if group_by == "file":
        return file.name
    if group_by == "folder":
        return file.name.partition("/")[0] if "/" in file.name else _TOP
    return f"{datetime.fromtimestamp(file.modified, UTC):{_FORMATS[group_by]}}"
