"""Decoded images are cached in files named after everything that influences them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.config import Experiment
from orchestrator.config.data import ArrivalsConfig, DataConfig, DigitsConfig, ParquetConfig
from orchestrator.data import load_images
from tests.extensions.distribution import install_npz

LABELS = ["ant", "bee"] * 4


def first_half_of_the_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def parquet_file(folder: Path) -> Path:
    folder.mkdir()
    pixels = [np.full((8, 8), row).tolist() for row in range(len(LABELS))]
    pq.write_table(pa.table({"image": pixels, "label": LABELS}), folder / "images.parquet")
    return folder / "images.parquet"


# --- the names are frozen: a renamed cache file is decoded again on every machine ----------------


def test_the_digits_file_name_has_format_test_fraction_and_seed(digits_cache: Path) -> None:
    config = DigitsConfig(cache_dir=digits_cache)
    assert load_images(config).path.name == "digits-3-0.3-0.arrow"


def test_a_parquet_cache_name_has_the_digest_of_format_shape_split_and_files(
    tmp_path: Path,
) -> None:
    file = parquet_file(tmp_path / "in")
    config = ParquetConfig(train=str(file), image_size=8, cache_dir=tmp_path)
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    whole = hashlib.sha256(f"train images.parquet {content} ".encode()).hexdigest()
    split = hashlib.sha256(f"{whole} 0.2".encode()).hexdigest()
    expected = f"parquet-{first_half_of_the_digest(f'3 (3, 8, 8) {split}')}.arrow"
    assert load_images(config).path.name == expected


def test_an_arrivals_cache_name_has_the_digest_of_format_and_settings(tmp_path: Path) -> None:
    file = parquet_file(tmp_path / "in")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    read = {
        "path": str(tmp_path / "in"),
        "files": [{"name": "images.parquet", "sha256": digest, "delivery": 1}],
        "deliveries": [["ant", 1], ["bee", 1]],
        "held_out_only": [],
        "held_out_fraction": 0.5,
        "image_size": 8,
        "num_channels": 3,
    }
    config = ArrivalsConfig.model_validate({**read, "cache_dir": tmp_path})
    text = json.dumps(read, separators=(",", ":"))
    expected = f"arrivals-{first_half_of_the_digest(f'3 {text}')}.arrow"
    assert load_images(config).path.name == expected


# --- a source of another distribution -------------------------------------------------------------


@pytest.fixture
def npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    monkeypatch.syspath_prepend(tmp_path / "site")
    install_npz(tmp_path / "site")
    images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 8, 8, 3), np.uint8)
    np.savez(tmp_path / "pets.npz", images=images, labels=LABELS)
    settings = {"train": str(tmp_path / "pets.npz"), "image_size": 8}
    data = {"kind": "npz", **settings, "cache_dir": str(tmp_path / "cache")}
    return Experiment.model_validate({"data": data}).data


def test_images_of_an_extension_are_decoded_once(npz: DataConfig) -> None:
    first = load_images(npz)
    inode = first.path.stat().st_ino
    assert load_images(npz).path.stat().st_ino == inode


def test_without_test_data_a_share_of_each_class_becomes_test_data(npz: DataConfig) -> None:
    table = load_images(npz)
    assert sorted(table.labels[table.is_test].tolist()) == ["ant", "bee"]


def test_a_new_version_of_an_extension_decodes_again_and_equal_images_keep_their_fingerprint(
    npz: DataConfig, tmp_path: Path
) -> None:
    of_first = load_images(npz)
    install_npz(tmp_path / "site", version="1.1")
    of_second = load_images(npz)
    assert of_second.path != of_first.path
    assert of_second.fingerprint == of_first.fingerprint


def test_a_higher_format_of_an_extension_decodes_again(
    npz: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.config.extensions import installed

    source = installed("orchestrator.image_sources")["npz"].load()
    of_first = load_images(npz)
    monkeypatch.setattr(source, "format", 2)
    assert load_images(npz).path != of_first.path
