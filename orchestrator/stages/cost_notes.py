"""Costs of stages and tables of features, noted in one small file of a store on object storage.

`plan` estimates from the newest manifests. A local disk finds them by their folders; object storage
would have to list and ask for every artifact.
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
_NOTED = (
    "stage",
    "seconds_without_features",
    "num_train_workers",
    "num_images",
    "multiply_adds",
    "epochs",
    "features_of",
    "seconds",
    "backbone",
)


def note_cost(store: StageStore, values: Mapping[str, Any]) -> None:
    """Note what a stage or a table has cost; nothing on a local disk.

    Of two that write at once one note may be lost: an estimate does not miss it.

    Args:
        store: Where the stage or table was just stored.
        values: Its plain values.
    """
    if isinstance(store.filesystem, fs.LocalFileSystem):
        return
    noted = {key: values[key] for key in _NOTED if key in values}
    if "epochs" in noted:  # their number is what counts
        noted["epochs"] = [None] * len(noted["epochs"])
    with suppress(OSError):  # the stage is stored, which is worth more
        known = _read(store) or []
        store.write_file(NOTES, json.dumps([noted, *known[: MAX_NOTES - 1]]).encode())


def noted_costs(store: StageStore) -> list[dict[str, Any]] | None:
    """Return the plain values that were noted, the newest first; None where nothing was.

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
