"""Stage store, images, source and journal in a bucket. The bucket is simulated (moto); the clients
are the real ones.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from orchestrator.config import Experiment, Retraining
from orchestrator.config.addresses import below
from orchestrator.config.data import ParquetConfig
from orchestrator.data import ImageTable, load_images
from orchestrator.data.sources.parquet import ParquetSource
from orchestrator.errors import DataError, StorageUnavailableError, UserInputError
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.pipelines.run.run import run
from orchestrator.pipelines.store.collect_garbage import collect_garbage
from orchestrator.retraining.backtest.arrivals import find_arrivals
from orchestrator.retraining.backtest.deliveries import Deliveries
from orchestrator.stages import StageStore
from orchestrator.tracking import NullTracker
from tests.integration.servers import free_port
from tests.object_storage import simulated_s3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with simulated_s3() as uri:
        yield uri


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> str:
    return below(server, tmp_path.name)


def test_a_second_run_finds_every_stage_in_the_bucket(
    bucket: str, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment = Experiment.model_validate(
        {**tiny_experiment.model_dump(), "store": {"uri": below(bucket, "stages")}}
    )
    first = run(experiment, tmp_path / "first", tracker=NullTracker()).summary
    second = run(experiment, tmp_path / "second", tracker=NullTracker()).summary
    assert not any(stage["cached"] for stage in first["stages"])
    assert all(stage["cached"] for stage in second["stages"])
    assert first["student"]["accuracy_matrix"] == second["student"]["accuracy_matrix"]


def test_a_damaged_artifact_in_the_bucket_is_computed_again(
    bucket: str, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment = Experiment.model_validate(
        {**tiny_experiment.model_dump(), "store": {"uri": below(bucket, "stages")}}
    )
    result = run(experiment, tmp_path / "first", tracker=NullTracker())
    last = result.work.stages[-1]
    store = StageStore(experiment.store.uri)
    files = store.filesystem.get_file_info(fs.FileSelector(store.path(last.key)))
    (tensors,) = [info.path for info in files if info.path.endswith(".safetensors")]
    with store.filesystem.open_output_stream(tensors) as stream:
        stream.write(b"torn")
    again = run(experiment, tmp_path / "second", tracker=NullTracker())
    assert [stage["name"] for stage in again.summary["stages"] if not stage["cached"]] == [
        last.name
    ]
    (report,) = collect_garbage([experiment.store.uri], [experiment], unused_days=0, dry_run=True)
    assert report.parts


def test_a_retraining_works_entirely_in_a_bucket(
    bucket: str, tiny_experiment: Experiment, tmp_path: Path, new_database: Callable[[Path], str]
) -> None:
    arrivals = StageStore(below(bucket, "arrivals"))  # for its file system
    experiment = tiny_experiment.model_dump(mode="json") | {
        "name": "bucket",
        "store": {"uri": below(bucket, "stages")},
    }
    experiment["tracking"] |= {
        "uri": new_database(tmp_path),
        "spool": str(tmp_path / "spool"),
        "experiment": None,
    }
    gate = {
        "min_new_accuracy": 0,
        "margin": 1,
        "max_taken": 1,
        "max_class_drop": 1,
        "max_forgetting": 1,
        "min_agreement": 0,
    }
    source = {"path": arrivals.uri, "settled_seconds": 0, "image_size": 8, "num_channels": 1}
    retraining = Retraining.model_validate(
        {"experiment": experiment, "source": source, "gate": gate}
    )

    def tick() -> str:
        return retrain(retraining, output=tmp_path / "out").outcome

    def deliver(name: str, *classes: int) -> None:
        random = np.random.default_rng(classes[0])
        labels = [c for c in classes for _ in range(30)]
        images = [(random.integers(0, 99, (8, 8)) + 30 * (c % 4)).tolist() for c in labels]
        with arrivals.filesystem.open_output_stream(arrivals.path(f"{name}.parquet")) as stream:
            pq.write_table(pa.table({"image": images, "label": labels}), stream)

    assert tick() == "nothing_to_do"
    deliver("first", 0, 1)
    assert tick() == "promoted"
    assert tick() == "nothing_to_do"
    deliver("second", 2)
    shutil.rmtree(tmp_path / "out")
    assert tick() == "promoted"
    stages = json.loads((tmp_path / "out" / "candidate" / "summary.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["teacher[1]", "student[1]"]


# --- images ---------------------------------------------------------------------------------------

NUM_IMAGES = 30


def test_a_backtest_reads_past_arrivals_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    uri = below(bucket, "past")
    for name, classes in (("1/a.parquet", (0, 1)), ("2/b.parquet", (2, 3)), ("2/.done", ())):
        put(below(uri, name), images_of(*classes))
    arrivals = find_arrivals(uri, "folder")
    deliveries = Deliveries(uri, arrivals, tmp_path / "downloads")
    assert [deliveries.num_images(it) for it in arrivals] == [
        {"0": 30, "1": 30},
        {"2": 30, "3": 30},
    ]
    deliveries.deliver(arrivals[0], tmp_path / "source")
    delivered = tmp_path / "source" / "1" / "a.parquet"
    assert delivered.read_bytes() == images_of(0, 1)
    assert delivered.stat().st_mtime == pytest.approx(arrivals[0].date.timestamp(), abs=1e-3)


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
    return load_images(
        ParquetConfig(
            train=train, test=test, image_size=8, num_channels=1, cache_dir=folder / "cache"
        )
    )


def test_files_are_found_by_name_folder_and_pattern(bucket: str, tmp_path: Path) -> None:
    for name in (
        "train-0.parquet",
        "train-1.parquet",
        "test.parquet",
        "deep/train-2.parquet",
        "notes.txt",
    ):
        put(below(bucket, "photos", name), images_of(len(name)))

    def num_images(*place: str) -> int:
        return (
            ParquetSource(below(bucket, "photos", *place), None).num_images("train") // NUM_IMAGES
        )

    assert num_images("test.parquet") == 1
    assert num_images("train-*.parquet") == 2
    assert num_images("*", "*.parquet") == 1
    assert num_images() == num_images("*.parquet") == 3


def test_a_run_on_a_bucket_equals_one_on_the_same_local_files(
    bucket: str, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    matrices: list[object] = []
    for place in (below(bucket, "photos"), str(tmp_path / "photos")):
        Path(tmp_path / "photos").mkdir(exist_ok=True)
        put(below(place, "train.parquet"), images_of(*range(6)))
        data = {
            "kind": "parquet",
            "train": below(place, "train.parquet"),
            "image_size": 8,
            "num_channels": 1,
        }
        data["cache_dir"] = str(tmp_path / f"cache-{len(matrices)}")
        update = {"data": data, "store": {"uri": str(tmp_path / f"store-{len(matrices)}")}}
        summary = run(
            Experiment.model_validate(tiny_experiment.model_dump() | update),
            tmp_path / "out",
            tracker=NullTracker(),
        ).summary
        matrices.append(
            (summary["teacher"]["accuracy_matrix"], summary["student"]["accuracy_matrix"])
        )
    assert matrices[0] == matrices[1]


def test_images_are_decoded_once_until_a_file_is_rewritten(bucket: str, tmp_path: Path) -> None:
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
def test_an_unusable_file_is_named(
    bucket: str, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = below(bucket, "train.parquet")
    if content is not None:
        put(file, content)
    with pytest.raises(DataError, match=said) as error:
        load(tmp_path, file)
    assert error.value.where == file


def test_an_unreachable_bucket_is_a_retryable_error(tmp_path: Path) -> None:
    address = f"s3://key:hidden@bucket/train.parquet?endpoint_override=127.0.0.1:{free_port()}&scheme=http&region=us-east-1"
    with pytest.raises(StorageUnavailableError) as error:
        load(tmp_path, address)
    assert "hidden" not in str(error.value)


def test_a_bucket_that_vanishes_during_reading_is_not_reported_as_a_damaged_file(
    tmp_path: Path,
) -> None:
    with simulated_s3() as server:
        file = below(server, "train.parquet")
        put(file, images_of(*range(9)))
        source = ParquetSource(file, None)
    with pytest.raises(StorageUnavailableError, match=r"train\.parquet"):
        next(source.samples("train"))


@pytest.mark.parametrize("address", ["http://bucket/train.parquet", "ftp://a/b"])
def test_an_address_of_no_storage_is_rejected(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="use a local path, s3:// or gs://"):
        load(tmp_path, address)
