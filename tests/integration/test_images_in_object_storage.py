"""Parquet files of images in a bucket. The bucket is a simulation (moto); the client that talks to it is the real one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from orchestrator.config import Experiment
from orchestrator.config.addresses import below
from orchestrator.config.data import ParquetConfig
from orchestrator.data import ImageTable, load_images
from orchestrator.data.parquet import ParquetSource
from orchestrator.errors import DataError, StorageUnavailableError, UserInputError
from orchestrator.pipelines.run import run
from orchestrator.tracking import NullTracker
from tests.integration.servers import free_port
from tests.object_storage import simulated_s3

NUM_IMAGES = 30


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with simulated_s3() as uri:
        yield uri


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> str:
    return below(server, tmp_path.name)


def put(uri: str, content: bytes) -> None:
    filesystem, path = fs.FileSystem.from_uri(uri)
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)


def images_of(*classes: int) -> bytes:
    random = np.random.default_rng(classes)
    labels = [c for c in classes for _ in range(NUM_IMAGES)]
    images = [(random.integers(0, 99, (8, 8)) + 30 * c).tolist() for c in labels]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"image": images, "label": labels}), buffer)
    return bytes(buffer.getvalue())


def load(folder: Path, train: str, test: str | None = None) -> ImageTable:
    return load_images(ParquetConfig(train=train, test=test, image_size=8, num_channels=1, cache_dir=folder / "cache"))


def test_files_are_found_by_name_folder_and_pattern(bucket: str, tmp_path: Path) -> None:
    for name in ("train-0.parquet", "train-1.parquet", "test.parquet", "deep/train-2.parquet", "notes.txt"):
        put(below(bucket, "photos", name), images_of(len(name)))

    def num_images(*place: str) -> int:
        return ParquetSource(below(bucket, "photos", *place), None).num_images("train") // NUM_IMAGES

    assert num_images("test.parquet") == 1
    assert num_images("train-*.parquet") == 2
    assert num_images("*", "*.parquet") == 1
    assert num_images() == num_images("*.parquet") == 3


def test_a_run_on_a_bucket_equals_one_on_the_same_files_on_disk(bucket: str, tiny_experiment: Experiment, tmp_path: Path) -> None:
    matrices: list[object] = []
    for place in (below(bucket, "photos"), str(tmp_path / "photos")):
        Path(tmp_path / "photos").mkdir(exist_ok=True)
        put(below(place, "train.parquet"), images_of(*range(6)))
        data = {"kind": "parquet", "train": below(place, "train.parquet"), "image_size": 8, "num_channels": 1}
        data["cache_dir"] = str(tmp_path / f"cache-{len(matrices)}")
        update = {"data": data, "store": {"uri": str(tmp_path / f"store-{len(matrices)}")}}
        summary = run(Experiment.model_validate(tiny_experiment.model_dump() | update), tmp_path / "out", tracker=NullTracker()).summary
        matrices.append((summary["teacher"]["accuracy_matrix"], summary["student"]["accuracy_matrix"]))
    assert matrices[0] == matrices[1]


def test_images_are_decoded_once_until_a_file_is_written_again(bucket: str, tmp_path: Path) -> None:
    file = below(bucket, "train.parquet")
    put(file, images_of(0, 1))
    first = load(tmp_path, file)
    assert load(tmp_path, file).path == first.path
    put(file, images_of(0, 2))
    assert load(tmp_path, file).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PAR1 torn PAR1", "is not a readable Parquet file"), (None, "no such file or folder")],
    ids=["torn", "missing"],
)
def test_a_file_that_cannot_be_used_is_named(bucket: str, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = below(bucket, "train.parquet")
    if content is not None:
        put(file, content)
    with pytest.raises(DataError, match=said) as error:
        load(tmp_path, file)
    assert error.value.where == file


def test_a_bucket_that_cannot_be_reached_is_worth_another_try(tmp_path: Path) -> None:
    address = f"s3://key:hidden@bucket/train.parquet?endpoint_override=127.0.0.1:{free_port()}&scheme=http&region=us-east-1"
    with pytest.raises(StorageUnavailableError) as error:
        load(tmp_path, address)
    assert "hidden" not in str(error.value)


def test_a_bucket_that_vanishes_while_it_is_read_is_no_damaged_file(tmp_path: Path) -> None:
    with simulated_s3() as server:
        file = below(server, "train.parquet")
        put(file, images_of(*range(9)))
        source = ParquetSource(file, None)
    with pytest.raises(StorageUnavailableError, match=r"train\.parquet"):
        next(source.samples("train"))


@pytest.mark.parametrize("address", ["http://bucket/train.parquet", "ftp://a/b"])
def test_an_address_of_no_storage_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="use a local path, s3:// or gs://"):
        load(tmp_path, address)
