"""Verdicts on the same held-out images are counted."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from orchestrator.config.data import ArrivalsConfig, ArrivedFile
from orchestrator.data.growing_folder import Folder, read_content
from orchestrator.data.loading import load_images
from orchestrator.retraining.candidate import looks_at


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_images_of_the_first_delivery_have_judged_every_candidate(tmp_path: Path) -> None:
    files = []
    for delivery, num in ((1, 3), (2, 2), (4, 1)):
        name = f"{delivery}.parquet"
        images = [png(10 * delivery + row) for row in range(num)]
        pq.write_table(pa.table({"image": images, "label": ["a"] * num}), tmp_path / name)
        content = read_content(Folder(str(tmp_path)), name)
        files.append(ArrivedFile(name=name, sha256=content.sha256, delivery=delivery))
    arrivals = ArrivalsConfig(
        path=str(tmp_path),
        files=tuple(files),
        deliveries=(("a", 4),),
        held_out_fraction=0.5,
        image_size=8,
        num_channels=1,
        cache_dir=tmp_path / "cache",
    )
    table = load_images(arrivals)
    assert looks_at(table, range(6), arrivals).tolist() == [4, 4, 4, 3, 3, 1]
    assert looks_at(table, [5, 0], arrivals).tolist() == [1, 4]
