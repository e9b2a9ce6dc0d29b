"""`orchestrator predict` with exported files whose answers are known by hand: the model sees only
an image's brightness.
"""

import csv
import io
import json
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from orchestrator.export.description import Description
from orchestrator.export.formats import Format, write_file
from orchestrator.export.program import trace
from orchestrator.pipelines.prediction.predict import probabilities

SHAPE = (1, 4, 4)
CLASSES = ("dark", "bright, or white")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Brightness(nn.Module):
    """Network with the logits 0 and brightness − 1, where brightness is 0 for black and 2 for
    white.
    """

    def forward(self, images: Tensor) -> Tensor:
        brightness = images.float().mean(dim=(1, 2, 3)) / 127.5
        return torch.stack([torch.zeros_like(brightness), brightness - 1], dim=1)


# softmax of the logits 0 and 1, and of equal logits
SURE = math.e / (1 + math.e)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Path]:
    folder = tmp_path_factory.mktemp("exported")
    texts = Description(CLASSES, SHAPE, "student", "3f2a9c1e", "pets", "pets").texts()
    kinds: tuple[Format, ...] = ("onnx", "pt2")
    for kind in kinds:
        write_file(trace(Brightness().eval(), SHAPE), kind, texts, folder / f"model.{kind}")
    return {kind: folder / f"model.{kind}" for kind in kinds}


def grey(value: int, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new("L", size, value)


def encoded(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def rows(text: str) -> list[list[str]]:
    header, *lines = csv.reader(io.StringIO(text))
    assert header == ["image", "class", "probability"]
    return lines


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a black and a white image, one of them in a subfolder and of another
    size and mode, a damaged image, and a file that is no image.
    """
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    grey(0).save(folder / "black.png")
    Image.new("RGB", (30, 20), "white").save(folder / "deep" / "white.jpg", quality=100)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_each_image_has_one_csv_line_with_class_and_probability(
    models: dict[Format, Path], kind: Format, photos: Path, orchestrator_command: Command
) -> None:
    done = orchestrator_command("predict", str(models[kind]), str(photos))
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert [row[:2] for row in found] == [
        [str(photos / "black.png"), CLASSES[0]],
        [str(photos / "deep" / "white.jpg"), CLASSES[1]],
    ]
    assert [float(row[2]) for row in found] == pytest.approx([SURE, SURE], abs=1e-5)


def parquet(path: Path, cells: Sequence[bytes | None]) -> Path:
    pq.write_table(
        pa.table({"image": pa.array(cells, pa.binary()), "label": [""] * len(cells)}), path
    )
    return path


def test_files_folders_and_parquet_keep_the_order_of_the_arguments(
    models: dict[Format, Path], photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    file = parquet(tmp_path / "new.parquet", [encoded(grey(255)), encoded(grey(0))])
    single = tmp_path / "single"  # an image by its content, not by its name
    single.write_bytes(encoded(grey(255)))
    done = orchestrator_command("predict", str(models["pt2"]), str(file), str(single), str(photos))
    assert [(row[0], row[1]) for row in rows(done.stdout)] == [
        (f"{file} row 0", CLASSES[1]),
        (f"{file} row 1", CLASSES[0]),
        (str(single), CLASSES[1]),
        (str(photos / "black.png"), CLASSES[0]),
        (str(photos / "deep" / "white.jpg"), CLASSES[1]),
    ]


def test_more_images_than_one_batch_are_all_predicted(
    models: dict[Format, Path], tmp_path: Path, orchestrator_command: Command
) -> None:
    values = [255 * (number % 3 == 0) for number in range(150)]
    file = parquet(tmp_path / "many.parquet", [encoded(grey(value)) for value in values])
    found = rows(orchestrator_command("predict", str(models["pt2"]), str(file)).stdout)
    assert [row[1] for row in found] == [CLASSES[value // 255] for value in values]


def test_damaged_images_are_named_and_skipped(
    models: dict[Format, Path], photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    file = parquet(tmp_path / "new.parquet", [None, encoded(grey(0))])
    output = tmp_path / "out" / "found.json"
    done = orchestrator_command(
        "predict", str(models["pt2"]), str(photos), str(file), "--output", str(output)
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"skipped {photos / 'broken.png'}: cannot be decoded (not an image of a known format)",
        f"skipped {file} row 0: has no image",
    ]
    assert done.stdout.splitlines() == [
        f"3 images: 2 {CLASSES[0]}, 1 {CLASSES[1]}; 2 skipped",
        str(output),
    ]
    document = json.loads(output.read_text(encoding="utf-8"))
    assert [one["class"] for one in document["predictions"]] == [CLASSES[0], CLASSES[1], CLASSES[0]]
    assert document["predictions"][0] == {
        "image": str(photos / "black.png"),
        "class": CLASSES[0],
        "probability": round(SURE, 6),
    }
    assert [one["image"] for one in document["skipped"]] == [
        str(photos / "broken.png"),
        f"{file} row 0",
    ]
    assert (document["role"], tuple(document["class_names"])) == ("student", CLASSES)


def test_if_no_image_is_left_it_is_an_error_and_nothing_is_written(
    models: dict[Format, Path], tmp_path: Path, orchestrator_command: Command
) -> None:
    broken, output = tmp_path / "broken.png", tmp_path / "found.csv"
    broken.write_bytes(b"")
    done = orchestrator_command("predict", str(models["pt2"]), str(broken), "--output", str(output))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none of the 1 images can be used" in done.stderr
    assert str(broken) in done.stderr
    assert not output.exists()


def test_the_csv_file_equals_the_terminal_output(
    models: dict[Format, Path], photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    output = tmp_path / "found.CSV"
    said = orchestrator_command("predict", str(models["pt2"]), str(photos)).stdout
    orchestrator_command("predict", str(models["pt2"]), str(photos), "--output", str(output))
    assert output.read_text(encoding="utf-8") == said


def test_a_sheet_shows_a_row_for_each_predicted_class(
    models: dict[Format, Path], photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    sheet = tmp_path / "sheet.png"
    sizes = []
    for places in ([photos / "black.png"], [photos]):
        done = orchestrator_command(
            "predict", str(models["pt2"]), *map(str, places), "--sheet", str(sheet)
        )
        assert (done.returncode, done.stderr) == (0, "")
        with Image.open(sheet) as picture:
            sizes.append(picture.size)
    (width, one_row), (same_width, two_rows) = sizes
    assert (width, two_rows > one_row) == (same_width, True)


@pytest.mark.parametrize(
    ("places", "options", "said"),
    [
        (["{folder}/none.png"], [], "{folder}/none.png: no such file or folder"),
        (["{folder}/none.parquet"], [], "{folder}/none.parquet: no such file or folder"),
        (["{folder}/empty"], [], "{folder}/empty: holds no images"),
        (["{folder}/tables"], [], "name its Parquet files: {folder}/tables/*.parquet"),
        (["{folder}"], ["--output", "{folder}"], "is a folder; name a file with --output"),
        (["{folder}"], ["--output", "found.txt"], "is neither a .csv nor a .json file"),
        (["{folder}"], ["--sheet", "sheet.txt"], "unknown picture format"),
    ],
)
def test_an_invalid_path_is_one_error_before_the_model_is_opened(
    places: list[str],
    options: list[str],
    said: str,
    tmp_path: Path,
    orchestrator_command: Command,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "train.parquet").touch()
    arguments = [text.format(folder=tmp_path) for text in (*places, *options)]
    (tmp_path / "no model.onnx").touch()
    done = orchestrator_command("predict", str(tmp_path / "no model.onnx"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said.format(folder=tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_file_that_is_no_model_is_one_error(
    name: str, content: bytes | None, photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    done = orchestrator_command("predict", str(file), str(photos))
    assert (done.returncode, done.stdout) == (2, "")
    what = "there is no such file" if content is None else "is not a model that this program has"
    assert done.stderr.startswith(f"error: {file}: {what}")
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_store_is_one_error_and_is_not_created(
    photos: Path, tmp_path: Path, orchestrator_command: Command
) -> None:
    store = tmp_path / "mlflow.db"
    for model in ("3f2a9c1e", "models:/pets-student@champion", "pets-student/1"):
        done = orchestrator_command(
            "predict", model, str(photos), "--tracking-uri", f"sqlite:///{store}"
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no tracking database" in done.stderr
    assert not store.exists()


def test_probabilities_are_a_softmax_without_overflow() -> None:
    logits = np.array([[0.0, math.log(3.0)], [1000.0, 1000.0]], dtype=np.float32)
    np.testing.assert_allclose(probabilities(logits), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6)
