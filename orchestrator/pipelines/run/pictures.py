"""Keep the pictures of a run in the stage store. Drawing them takes longer than writing any other
output, and a run whose stages are all stored would draw the same pictures as an earlier run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import torch

from orchestrator import figures
from orchestrator.models.artifact import Artifact
from orchestrator.stages import StageStore
from orchestrator.whole_files import write_whole

Draw = Callable[[], Mapping[str, bytes]]


def write_pictures(folder: Path, store: StageStore, shown: object, draw: Draw) -> list[Path]:
    """Write pictures from the stage store; draw and store the pictures that the store lacks.

    Pictures with text beyond ASCII are drawn every time, as they depend on the fonts of this
    machine.

    Args:
        folder: Folder for the pictures, created if missing.
        store: The stage store.
        shown: Everything that the pictures show, as JSON values.
        draw: Function that returns the pictures by file name.

    Raises:
        OSError: The folder cannot be written.
        StorageUnavailableError: The store cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps([_version_of_drawing(), shown], sort_keys=True, ensure_ascii=False)
    found = _kept(store, text, draw) if text.isascii() else draw()
    for name, content in found.items():
        write_whole(folder / name, content)
    return [folder / name for name in found]


def _kept(store: StageStore, text: str, draw: Draw) -> Mapping[str, bytes]:
    key = hashlib.sha256(text.encode()).hexdigest()
    stored = store.load(key)
    if stored is not None:
        names: list[str] = stored.values["pictures"]
        return {name: stored.tensors[name].numpy().tobytes() for name in names}
    drawn = draw()
    contents = {
        name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for name, content in drawn.items()
    }
    store.save(key, Artifact(contents, {"pictures": [*drawn]}))
    return drawn


def _version_of_drawing() -> list[str]:
    """Return the identity of this drawing code and of Matplotlib, which changes if pictures may
    change.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(figures.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return [metadata.version("matplotlib"), digest.hexdigest()]
