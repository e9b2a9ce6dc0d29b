"""Stage store, source and journal in a bucket. The bucket is a simulation (moto); the clients that talk to it are the real ones."""

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
from orchestrator.pipelines.collect_garbage import collect_garbage
from orchestrator.pipelines.retrain import retrain
from orchestrator.pipelines.run import run
from orchestrator.stages import StageStore
from orchestrator.tracking import NullTracker
from tests.object_storage import simulated_s3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with simulated_s3() as uri:
        yield uri


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> str:
    return below(server, tmp_path.name)


def test_a_second_run_finds_every_stage_in_the_bucket(bucket: str, tiny_experiment: Experiment, tmp_path: Path) -> None:
    experiment = Experiment.model_validate({**tiny_experiment.model_dump(), "store": {"uri": below(bucket, "stages")}})
    first = run(experiment, tmp_path / "first", tracker=NullTracker()).summary
    second = run(experiment, tmp_path / "second", tracker=NullTracker()).summary
    assert not any(stage["cached"] for stage in first["stages"])
    assert all(stage["cached"] for stage in second["stages"])
    assert first["student"]["accuracy_matrix"] == second["student"]["accuracy_matrix"]


def test_a_damaged_artifact_in_the_bucket_is_computed_again(bucket: str, tiny_experiment: Experiment, tmp_path: Path) -> None:
    experiment = Experiment.model_validate({**tiny_experiment.model_dump(), "store": {"uri": below(bucket, "stages")}})
    result = run(experiment, tmp_path / "first", tracker=NullTracker())
    last = result.work.stages[-1]
    store = StageStore(experiment.store.uri)
    files = store.filesystem.get_file_info(fs.FileSelector(store.path(last.key)))
    (tensors,) = [info.path for info in files if info.path.endswith(".safetensors")]
    with store.filesystem.open_output_stream(tensors) as stream:
        stream.write(b"torn")
    again = run(experiment, tmp_path / "second", tracker=NullTracker())
    assert [stage["name"] for stage in again.summary["stages"] if not stage["cached"]] == [last.name]
    (report,) = collect_garbage([experiment.store.uri], [experiment], unused_days=0, dry_run=True)
    assert report.parts


def test_a_retraining_lives_in_a_bucket(
    bucket: str, tiny_experiment: Experiment, tmp_path: Path, new_database: Callable[[Path], str]
) -> None:
    arrivals = StageStore(below(bucket, "arrivals"))  # for its file system
    experiment = tiny_experiment.model_dump(mode="json") | {"name": "bucket", "store": {"uri": below(bucket, "stages")}}
    experiment["tracking"] |= {"uri": new_database(tmp_path), "spool": str(tmp_path / "spool"), "experiment": None}
    gate = {"min_new_accuracy": 0, "old_accuracy_tolerance": 1, "max_forgetting": 1, "min_agreement": 0}
    source = {"path": arrivals.uri, "settled_seconds": 0, "image_size": 8, "num_channels": 1}
    retraining = Retraining.model_validate({"experiment": experiment, "source": source, "gate": gate})

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
