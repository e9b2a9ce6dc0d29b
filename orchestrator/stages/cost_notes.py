"""Record the computing times and sizes of the newest stages and feature tables in one small file of
the stage store. The file exists only on object storage.

The command `orchestrator plan` estimates costs from the newest results. On a local disk, the
command finds the newest manifests by the times of their folders. On object storage, the command
reads this file; without the file, the command would have to list and request every artifact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pyarrow import fs

from orchestrator.stages.store import StageStore

NOTES = "costs.json"
MAX_NOTES = 200
SHARED = "shared"  # name of the value in which a stage lists the shared artifacts that it used
_NOTED = (
    "stage",
    "seconds_without_features",
    "seconds_of_shared",
    "num_train_workers",
    "num_images",
    "image_passes",
    "multiply_adds",
    "epochs",
    "features_of",
    "passes",
    "seconds",
    "backbone",
    SHARED,
    "shared_work",
)


def note_cost(store: StageStore, values: Mapping[str, Any]) -> None:
    """Record in the file `NOTES` what a stage or feature table has cost: the computing time in
    seconds, and the numbers that determine this time, such as the number of images. Do nothing if
    the store is on a local disk, where estimates read the stages and tables themselves.

    If two processes write at the same time, one record may be lost; estimates do not need every
    record.

    Args:
        store: Store in which the stage or table was just saved.
        values: JSON values of the stage's or table's artifact.
    """
    if isinstance(store.filesystem, fs.LocalFileSystem):
        return
    noted = {key: values[key] for key in _NOTED if key in values}
    if "epochs" in noted:  # keep only the number of epochs; estimates use nothing else
        noted["epochs"] = [None] * len(noted["epochs"])
    # Ignore errors: estimates do without a lost record, and the stage itself is already stored.
    with suppress(OSError):
        known = _read(store) or []
        store.write_file(NOTES, json.dumps([noted, *known[: MAX_NOTES - 1]]).encode())


def noted_costs(store: StageStore) -> list[dict[str, Any]] | None:
    """Return the values that `note_cost` recorded for stages and feature tables, the newest first.
    Return None if the store is on a local disk, or if nothing was recorded.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    if isinstance(store.filesystem, fs.LocalFileSystem):
        return None
    try:
        return _read(store)
    except OSError as error:
        raise store.unavailable("read", error, "check store.uri and its permissions") from None


def _read(store: StageStore) -> list[dict[str, Any]] | None:
    text = store.read_file(NOTES)
    try:
        notes = None if text is None else json.loads(text)
    except ValueError:
        return None
    return [it for it in notes if isinstance(it, dict)] if isinstance(notes, list) else None
