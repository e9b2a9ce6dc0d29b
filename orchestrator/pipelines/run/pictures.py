"""Keep the pictures and charts of a run in the stage store.

If the stage store has the pictures of an earlier run with the same content, they are read from the
store instead of drawn again, because drawing takes longer than writing any other output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import torch
from markupsafe import Markup

from orchestrator import figures
from orchestrator.figures.chart_lines import Chart, LineChart
from orchestrator.models.artifact import Artifact
from orchestrator.reporting.line_charts import DrawCharts, draw_charts
from orchestrator.stages import StageStore
from orchestrator.whole_files import write_whole

Draw = Callable[[], Mapping[str, bytes]]


def write_pictures(folder: Path, store: StageStore, shown: object, draw: Draw) -> list[Path]:
    """Write pictures from the stage store; draw and store the pictures that the store lacks.

    Pictures with text beyond ASCII are drawn every time, because such text depends on the fonts of
    this machine.

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
    found = _drawn_once(store, shown, draw)
    for name, content in found.items():
        write_whole(folder / name, content)
    return [folder / name for name in found]


def charts_kept_in(store: StageStore) -> DrawCharts:
    """Return a function that draws charts, or reads them from the stage store if they are stored.

    The returned function raises `StorageUnavailableError` if the store cannot be read or written.
    """

    def draw(charts: Sequence[LineChart]) -> list[Chart]:
        def drawn() -> dict[str, bytes]:
            return {it.title: it.drawing.encode() for it in draw_charts(charts)}

        found = _drawn_once(store, ["charts", *map(asdict, charts)], drawn)
        # safe as HTML, because Matplotlib has escaped all texts
        return [Chart(title, Markup(text.decode())) for title, text in found.items()]  # noqa: S704

    return draw


def _drawn_once(store: StageStore, shown: object, draw: Draw) -> Mapping[str, bytes]:
    text = json.dumps([_version_of_drawing(), shown], sort_keys=True, ensure_ascii=False)
    return _kept(store, text, draw) if text.isascii() else draw()


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
    """Return the version of Matplotlib and a digest of the drawing code. Pictures with the same
    content may change only if one of these changes.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(figures.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return [metadata.version("matplotlib"), digest.hexdigest()]
