"""Parquet files in every common form of images; every unusable row is named."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config.data import ParquetConfig
from orchestrator.data import ImageTable, load_images
from orchestrator.data.decoding import Shape, decode
from orchestrator.data.samples import Label
from orchestrator.data.sources.parquet import ParquetSource
from orchestrator.errors import DataError

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOUR = np.stack([GREY, GREY.T, 255 - GREY], axis=2)


def encoded(pixels: Any, image_format: str = "PNG") -> bytes:  # noqa: ANN401 - an array of any type
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, quality=95)
    return buffer.getvalue()


def write(file: Path, images: list[Any] | pa.Array, labels: list[Any] | pa.Array) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    return file


def read_parquet_images(file: Path, shape: Shape) -> tuple[Any, list[Label]]:
    """Read images like `load_images`, without building the table."""
    loaded = [
        (*sample.load(), sample.where) for sample in ParquetSource(str(file), None).samples("train")
    ]
    return np.stack([decode(content, shape, where).pixels for _, content, where in loaded]), [
        label for label, _, _ in loaded
    ]


def read_one(file: Path, image: object, shape: tuple[int, int, int]) -> Any:  # noqa: ANN401 - an array
    images, labels = read_parquet_images(write(file, [image], ["x"]), shape)
    assert labels == ["x"]
    assert images.shape == (1, *shape)
    assert images.dtype == np.uint8
    return images[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "images.parquet"


def test_encoded_bytes_are_decoded_exactly(file: Path) -> None:
    assert np.array_equal(read_one(file, encoded(COLOUR), (3, 8, 8)), COLOUR.transpose(2, 0, 1))
    assert np.array_equal(read_one(file, encoded(GREY), (1, 8, 8))[0], GREY)


def test_jpeg_is_decoded_up_to_its_loss(file: Path) -> None:
    decoded = read_one(file, encoded(GREY, "JPEG"), (1, 8, 8))[0]
    assert np.abs(decoded.astype(int) - GREY.astype(int)).max() <= 12
    assert decoded.std() > 50


def test_the_struct_of_hugging_face_is_decoded(file: Path) -> None:
    assert np.array_equal(
        read_one(file, {"bytes": encoded(GREY), "path": "a.png"}, (1, 8, 8))[0], GREY
    )


@pytest.mark.parametrize("pixels", [GREY, GREY[:, :, np.newaxis]], ids=["h w", "h w 1"])
def test_nested_lists_of_integers_are_pixels(file: Path, pixels: Any) -> None:  # noqa: ANN401
    assert np.array_equal(read_one(file, pixels.tolist(), (1, 8, 8))[0], GREY)


def test_nested_lists_of_colours_are_pixels(file: Path) -> None:
    assert np.array_equal(read_one(file, COLOUR.tolist(), (3, 8, 8)), COLOUR.transpose(2, 0, 1))


def test_floating_point_numbers_are_fractions_of_the_full_range(file: Path) -> None:
    assert np.array_equal(read_one(file, (GREY / 255).tolist(), (1, 8, 8))[0], GREY)
    assert read_one(file, [[0.0, 1.0], [0.5, 0.2]], (1, 2, 2))[0].tolist() == [[0, 255], [128, 51]]


def test_images_are_resized_and_converted(file: Path) -> None:
    assert (read_one(file, encoded(np.full((20, 30, 3), 200, np.uint8)), (1, 8, 8)) == 200).all()
    repeated = read_one(file, encoded(GREY), (3, 8, 8))
    assert np.array_equal(repeated, np.stack([GREY] * 3))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 10], [3, 10]),
        (["cat", "dog"], ["cat", "dog"]),
        (pa.array(["cat", "dog"]).dictionary_encode(), ["cat", "dog"]),
        (pa.array(["cat", "dog"], pa.large_string()), ["cat", "dog"]),
    ],
    ids=["integers", "text", "dictionary", "large text"],
)
def test_labels_record_whether_they_are_integers_or_text(
    file: Path,
    labels: Any,  # noqa: ANN401
    expected: list[int] | list[str],
) -> None:
    assert read_parquet_images(write(file, [GREY.tolist()] * 2, labels), (1, 8, 8))[1] == expected


def test_rows_keep_their_order_across_row_groups(file: Path) -> None:
    images = [np.full((8, 8), value, np.uint8).tolist() for value in range(10)]
    pq.write_table(pa.table({"image": images, "label": list(range(10))}), file, row_group_size=3)
    found, labels = read_parquet_images(file, (1, 8, 8))
    assert found[:, 0, 0, 0].tolist() == list(range(10))
    assert labels == list(range(10))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ([[0.1, float("nan")], [0.2, float("inf")]], "has 2 pixels that are NaN or infinite"),
        ([[0.1, 1.5], [0.2, 0.3]], "has pixels from 0.1 to 1.5"),
        ([[0, 256], [0, 0]], "has pixels from 0 to 256"),
        ([[0, -1], [0, 0]], "has pixels from -1 to 0"),
        ([[1, 2], [3]], "is not an image of pixels"),
        ([], "is not an image of pixels"),
        ([1, 2, 3], "is not an image of pixels"),
        ([[[1, 2], [3, 4]]], "is not an image of pixels"),
        (b"not an image", "cannot be decoded"),
        (b"", "cannot be decoded"),
        (encoded(GREY)[:50], "cannot be decoded"),
        ({"bytes": None, "path": "a.png"}, "has no image"),
    ],
    ids=[
        "nan",
        "above 1",
        "above 255",
        "negative",
        "ragged",
        "empty",
        "flat",
        "two channels",
        "no image",
        "no bytes",
        "cut off",
        "no content",
    ],
)
def test_an_unusable_image_is_named_by_file_and_row(file: Path, image: object, said: str) -> None:
    good: object = (
        {"bytes": encoded(GREY), "path": None} if isinstance(image, dict) else encoded(GREY)
    )
    if isinstance(image, list):
        good = (
            [[0.0]]
            if any(
                isinstance(value, float) for row in image if isinstance(row, list) for value in row
            )
            else [[0]]
        )
        good = (
            [0]
            if image == [1, 2, 3] or not image
            else [[[0]]]
            if image == [[[1, 2], [3, 4]]]
            else good
        )
    rows = [image] if good == [0] else [good, image]
    with pytest.raises(DataError) as error:
        read_parquet_images(write(file, rows, ["x"] * len(rows)), (1, 8, 8))
    assert str(error.value).startswith(f"{file} row {len(rows) - 1}: {said}")


def test_a_missing_image_or_label_is_named_by_its_row(file: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: has no image; remove the row"):
        read_parquet_images(write(file, [encoded(GREY), None], ["x", "y"]), (1, 8, 8))
    with pytest.raises(DataError, match=r"row 1: has no label"):
        read_parquet_images(write(file, [encoded(GREY)] * 2, ["x", None]), (1, 8, 8))


def test_a_missing_column_is_named_with_the_existing_ones(file: Path) -> None:
    pq.write_table(pa.table({"picture": [b""], "label": [1]}), file)
    with pytest.raises(DataError, match=r"has no column 'image' \(it has picture, label\)"):
        read_parquet_images(file, (1, 8, 8))


@pytest.mark.parametrize("name", ["image", "label"])
def test_a_duplicate_column_is_named(file: Path, name: str) -> None:
    columns = {"image": pa.array([encoded(GREY)]), "label": pa.array(["x"])}
    pq.write_table(
        pa.Table.from_arrays([*columns.values(), columns[name]], names=[*columns, name]), file
    )
    with pytest.raises(DataError, match=f"has several columns '{name}'; keep one of them"):
        read_parquet_images(file, (1, 8, 8))


def test_labels_that_are_no_valid_text_are_reported(file: Path) -> None:
    labels = pa.Array.from_buffers(
        pa.string(),
        1,
        [None, pa.py_buffer(b"\x00\x00\x00\x00\x01\x00\x00\x00"), pa.py_buffer(b"\xff")],
    )
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        read_parquet_images(write(file, [encoded(GREY)], labels), (1, 8, 8))


def test_a_label_too_large_for_a_table_is_named_by_its_row(file: Path) -> None:
    with pytest.raises(
        DataError,
        match=f"row 1: the label {2**63} is larger than {2**63 - 1}; store labels as text",
    ):
        read_parquet_images(
            write(file, [encoded(GREY)] * 2, pa.array([1, 2**63], pa.uint64())), (1, 8, 8)
        )


def test_only_a_part_of_a_large_row_group_is_in_memory_at_a_time(file: Path) -> None:
    images = [np.random.default_rng(number).bytes(2**13) for number in range(5000)]
    pq.write_table(
        pa.table({"image": images, "label": [0] * 5000}),
        file,
        compression="none",
        use_dictionary=False,
    )
    del images
    before = pa.total_allocated_bytes()
    tracemalloc.start()  # traces the file's bytes, which are Python objects
    try:
        used = [
            pa.total_allocated_bytes() - before
            for _ in ParquetSource(str(file), None).samples("train")
        ]
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(used) == 5000
    assert max(used) + read < 0.8 * file.stat().st_size


@pytest.mark.parametrize(
    ("train", "name"),
    [
        ("photos", "photos"), ("photos/", "photos"), ("photos/train", "photos"),
        ("photos/train.parquet", "photos"), ("photos/train-*.parquet", "photos"),
        ("photos/train/*", "train"), ("s3://bucket/photos?region=x", "photos"),
    ],
)  # fmt: skip
def test_a_data_set_is_named_after_its_folder(
    train: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.data.sources.parquet.find_parquet_files", lambda place: [])
    assert ParquetSource(train, None).name == name


def test_fractional_labels_are_rejected(file: Path) -> None:
    with pytest.raises(DataError, match="the column 'label' is of type double"):
        read_parquet_images(write(file, [encoded(GREY)], [1.5]), (1, 8, 8))


def test_a_file_that_is_no_parquet_is_reported(file: Path) -> None:
    file.write_bytes(b"PAR1 but nothing more")
    with pytest.raises(DataError, match=r"images\.parquet: is not a readable Parquet file"):
        read_parquet_images(file, (1, 8, 8))


def config(folder: Path, **values: Any) -> ParquetConfig:  # noqa: ANN401
    settings = {
        "train": str(folder / "train"),
        "test": str(folder / "test"),
        "cache_dir": folder / "cache",
        "image_size": 8,
        **values,
    }
    return ParquetConfig.model_validate(settings)


def load(folder: Path, **values: Any) -> ImageTable:  # noqa: ANN401
    return load_images(config(folder, **values))


def test_folders_are_read_in_the_order_of_their_file_names(tmp_path: Path) -> None:
    for name, value in (("b", 20), ("a", 10)):
        write(
            tmp_path / "train" / f"{name}.parquet",
            [np.full((8, 8), value, np.uint8).tolist()],
            [name],
        )
    write(tmp_path / "test" / "c.parquet", [np.full((8, 8), 30, np.uint8).tolist()], ["a"])
    table = load(tmp_path)
    assert table.labels.tolist() == ["a", "b", "a"]
    assert table.is_test.tolist() == [False, False, True]
    assert table.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert table.shape == (3, 8, 8)


def test_a_changed_file_or_size_is_decoded_again(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.parquet", [GREY.tolist()], ["a"])
    write(tmp_path / "test" / "a.parquet", [GREY.tolist()], ["a"])
    first = load(tmp_path)
    assert load(tmp_path).path == first.path
    assert load(tmp_path, image_size=16).shape == (3, 16, 16)
    assert load(tmp_path, num_channels=1).shape == (1, 8, 8)
    write(tmp_path / "test" / "a.parquet", [GREY.T.tolist()], ["a"])
    assert load(tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_images_is_named(tmp_path: Path, split: str) -> None:
    for name in ("train", "test"):
        rows = [] if name == split else [encoded(GREY)]
        write(
            tmp_path / name / "a.parquet",
            pa.array(rows, pa.binary()),
            pa.array(["a"] * len(rows), pa.string()),
        )
    with pytest.raises(DataError, match=f"{tmp_path}/{split}: holds no images"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("make", "said"), [(False, "no such file or folder"), (True, "holds no *.parquet file")]
)
def test_a_path_without_parquet_files_is_named(tmp_path: Path, make: bool, said: str) -> None:
    if make:
        (tmp_path / "train").mkdir()
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value) == f"{tmp_path}/train: {said}; correct data.train and data.test"


@pytest.mark.parametrize(
    ("train", "test", "integers"),
    [(3, 3, True), ("3", "3", False), (3, "3", False)],
    ids=["integers", "text", "mixed"],
)
def test_a_table_stores_labels_as_text_and_whether_all_were_integers(
    tmp_path: Path, train: object, test: object, integers: bool
) -> None:
    write(tmp_path / "train" / "a.parquet", [GREY.tolist()], [train])
    write(tmp_path / "test" / "a.parquet", [GREY.tolist()], [test])
    for table in (load(tmp_path), load(tmp_path)):  # decoded, then from the cache
        assert table.labels.tolist() == ["3", "3"]
        assert table.integer_labels is integers
