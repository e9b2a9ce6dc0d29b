"""The retraining file."""

from pathlib import Path

import pytest

from orchestrator.config import load_retraining
from orchestrator.config.addresses import below
from orchestrator.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "experiment.yaml").write_text("name: shop\nseed: 3\n")
    path = tmp_path / "retraining.yaml"
    path.write_text("experiment: experiment.yaml\nsource: {path: arrivals}\n")
    return path


def test_the_experiment_is_a_separate_file_or_inline(file: Path) -> None:
    loaded = load_retraining(file)
    assert (loaded.name, loaded.experiment.seed) == ("shop", 3)
    file.write_text("experiment: {name: inside}\nsource: {path: arrivals}\n")
    assert load_retraining(file).name == "inside"


def test_overrides_reach_retraining_and_experiment(file: Path) -> None:
    loaded = load_retraining(
        file, ["experiment.seed=5", "source.path=/data", "gate.min_new_accuracy=0.9"]
    )
    assert (loaded.experiment.seed, loaded.source.path, loaded.gate.min_new_accuracy) == (
        5,
        "/data",
        0.9,
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("source.pth=/data", "source.pth is not a known key; did you mean source.path?"),
        ("experiment.student.epochs=1", "student.epochs is not a known key"),
        ("reactions.shift=learn", "reactions.shift"),
        ("gate.min_new_accuracy=2", "gate.min_new_accuracy = 2"),
        ("monitoring.max_images=30", "max_images = 30 is less than min_images = 50"),
        ("monitoring.silence_factor=1", "monitoring.silence_factor = 1"),
        ("lease.heartbeat_seconds=40", "expires_seconds = 60 is less than two heartbeats"),
    ],
)
def test_errors_are_reported_with_their_place(file: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_retraining(file, [override])
    assert said in str(error.value)
    assert "retraining.yaml" in str(error.value) or override in str(error.value)


def test_a_missing_experiment_file_is_named(file: Path) -> None:
    file.write_text("experiment: experimint.yaml\nsource: {path: arrivals}\n")
    with pytest.raises(ConfigError, match=r"experiment\.yaml"):
        load_retraining(file)


def test_the_journal_is_next_to_the_stage_store(file: Path) -> None:
    assert (
        load_retraining(file, ["experiment.store.uri=/stages"]).journal_uri == "/stages/retraining"
    )
    assert load_retraining(file, ["lease.uri=/journal"]).journal_uri == "/journal"


def test_a_query_stays_at_the_end_of_an_address() -> None:
    assert below("s3://bucket/a/?region=x", "b", "c") == "s3://bucket/a/b/c?region=x"
    assert below("/a?b", "c") == "/a?b/c"
