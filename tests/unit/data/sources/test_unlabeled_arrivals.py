"""Files without labels recorded by a retraining, and which of their images may be used."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.data import DigitsConfig
from orchestrator.config.unlabeled import UnlabeledArrivalsConfig, UnlabeledFile
from orchestrator.data import ImageTable
from orchestrator.data.growing_folder import Folder, is_held_out, read_content
from orchestrator.data.unlabeled_loading import load_unlabeled
from orchestrator.errors import DataError, NoImagesError
from tests.unlabeled import noise, write_unlabeled


def config(folder: Path, *names: str, fraction: float = 0.2) -> UnlabeledArrivalsConfig:
    files = [
        UnlabeledFile(name=name, sha256=read_content(Folder(str(folder)), name, False).sha256)
        for name in names
    ]
    return UnlabeledArrivalsConfig(path=str(folder), files=tuple(files), held_out_fraction=fraction)


def loaded(settings: UnlabeledArrivalsConfig, cache: Path) -> ImageTable:
    return load_unlabeled(DigitsConfig(cache_dir=cache), settings)


def test_images_that_would_be_held_out_if_labelled_are_never_used_without_labels(
    tmp_path: Path,
) -> None:
    write_unlabeled(tmp_path / "camera" / "1.parquet", noise(200))
    digests = read_content(Folder(str(tmp_path / "camera")), "1.parquet", False).digests
    held_out = np.asarray([is_held_out(digest, 0.2) for digest in digests])
    assert 20 < held_out.sum() < 60
    table = loaded(config(tmp_path / "camera", "1.parquet"), tmp_path / "cache")
    assert np.array_equal(table.images, noise(200)[~held_out])


def test_only_listed_files_are_read_in_the_listed_order(tmp_path: Path) -> None:
    for number in range(3):
        write_unlabeled(tmp_path / "camera" / f"{number}.parquet", noise(4, seed=number))
    settings = config(tmp_path / "camera", "2.parquet", "0.parquet", fraction=1e-9)
    table = loaded(settings, tmp_path / "cache")
    assert np.array_equal(table.images, np.concatenate([noise(4, seed=2), noise(4, seed=0)]))


def test_a_file_that_changed_after_it_was_recorded_is_not_read(tmp_path: Path) -> None:
    file = write_unlabeled(tmp_path / "camera" / "1.parquet", noise(4))
    settings = config(tmp_path / "camera", "1.parquet")
    write_unlabeled(file, noise(5))
    with pytest.raises(DataError, match=r"1\.parquet: has changed since it was recorded"):
        loaded(settings, tmp_path / "cache")


def test_files_with_only_held_out_images_give_no_images(tmp_path: Path) -> None:
    write_unlabeled(tmp_path / "camera" / "1.parquet", noise(3))
    with pytest.raises(NoImagesError):
        loaded(config(tmp_path / "camera", "1.parquet", fraction=1 - 1e-12), tmp_path / "cache")
