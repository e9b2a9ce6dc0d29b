"""The one internal form of a data set: its fingerprint, its memory mapping, and recovery from torn
files.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.config.data import DigitsConfig
from orchestrator.data import load_images
from orchestrator.data.image_table import ImageTable, open_image_table, write_image_table
from orchestrator.errors import StorageUnavailableError

IMAGES = np.arange(4 * 3 * 2 * 2, dtype=np.uint8).reshape(4, 3, 2, 2)
LABELS = ["a", "b", "a", "b"]
IS_TEST = np.asarray([False, False, True, True])


def fingerprint(
    folder: Path,
    images: npt.NDArray[np.uint8] = IMAGES,
    labels: list[str] = LABELS,
    is_test: npt.NDArray[np.bool_] = IS_TEST,
) -> str:
    return write_image_table(folder / "any.arrow", "any", images, labels, is_test).fingerprint


def test_equal_content_has_an_equal_fingerprint_wherever_it_is_stored(tmp_path: Path) -> None:
    first = write_image_table(tmp_path / "one.arrow", "one", IMAGES, LABELS, IS_TEST)
    second = write_image_table(
        tmp_path / "deeper" / "two.arrow", "two", IMAGES.copy(), list(LABELS), IS_TEST.copy()
    )
    assert first.fingerprint == second.fingerprint
    assert len(first.fingerprint) == 64


def test_the_fingerprint_does_not_depend_on_the_memory_layout(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, np.asfortranarray(IMAGES)) == fingerprint(tmp_path)


def test_one_changed_pixel_label_split_or_shape_changes_the_fingerprint(tmp_path: Path) -> None:
    pixel = IMAGES.copy()
    pixel[3, 2, 1, 1] ^= 1
    split = IS_TEST.copy()
    split[1] = True
    found = {
        fingerprint(tmp_path),
        fingerprint(tmp_path, images=pixel),
        fingerprint(tmp_path, labels=["a", "b", "a", "c"]),
        fingerprint(tmp_path, labels=["a", "b", "b", "a"]),
        fingerprint(tmp_path, is_test=split),
        fingerprint(tmp_path, images=IMAGES.reshape(4, 3, 4, 1)),
    }
    assert len(found) == 6


def test_a_table_is_read_back_as_written(tmp_path: Path) -> None:
    write_image_table(tmp_path / "t.arrow", "letters", IMAGES, LABELS, IS_TEST)
    table = open_image_table(tmp_path / "t.arrow")
    assert table is not None
    assert (table.name, table.shape) == ("letters", (3, 2, 2))
    assert np.array_equal(table.images, IMAGES)
    assert table.labels.tolist() == LABELS
    assert table.is_test.tolist() == IS_TEST.tolist()
    assert table.fingerprint == fingerprint(tmp_path)


def test_images_are_memory_mapped_and_read_only(digits_table: ImageTable) -> None:
    assert not digits_table.images.flags.owndata
    assert not digits_table.images.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        digits_table.images[0, 0, 0, 0] = 1
    mapped = [
        line
        for line in Path("/proc/self/maps").read_text().splitlines()
        if str(digits_table.path) in line
    ]
    assert mapped, "the file is mapped into this process"


def test_the_digits_equal_scikit_learns(digits_table: ImageTable) -> None:
    assert digits_table.images.shape == (1797, 1, 8, 8)
    assert sorted(set(digits_table.labels.tolist())) == [str(digit) for digit in range(10)]
    assert digits_table.is_test.mean() == pytest.approx(0.3, abs=0.001)
    # scikit-learn's values are 0 to 16; row 0 is a zero whose third pixel is 5, and 5/16 of 255 is
    # 79.7
    assert digits_table.labels[0] == "0"
    assert digits_table.images[0, 0, 0, 2] == 80
    # stratified: each class has its share in the test data
    for digit in range(10):
        assert digits_table.is_test[digits_table.labels == str(digit)].mean() == pytest.approx(
            0.3, abs=0.01
        )


def test_the_split_of_the_digits_depends_on_its_seed(
    digits_cache: Path, digits_table: ImageTable
) -> None:
    other = load_images(DigitsConfig(cache_dir=digits_cache, split_seed=1))
    assert (other.is_test != digits_table.is_test).any()
    assert other.fingerprint != digits_table.fingerprint


def test_decoded_images_come_from_the_cache(tmp_path: Path) -> None:
    config = DigitsConfig(cache_dir=tmp_path)
    first = load_images(config)
    inode = first.path.stat().st_ino
    assert load_images(config).path.stat().st_ino == inode
    assert [file.name for file in tmp_path.iterdir()] == [first.path.name], (
        "no temporary file is left"
    )


@pytest.mark.parametrize(
    "length", [0, 5, 1000, -8], ids=["empty", "header torn", "half", "end torn"]
)
def test_a_torn_cache_file_is_rebuilt(
    tmp_path: Path, digits_table: ImageTable, length: int
) -> None:
    config = DigitsConfig(cache_dir=tmp_path)
    path = tmp_path / digits_table.path.name
    path.write_bytes(digits_table.path.read_bytes()[:length])
    assert open_image_table(path) is None
    table = load_images(config)
    assert table.path == path
    assert table.fingerprint == digits_table.fingerprint
    assert np.array_equal(table.images, digits_table.images)


def test_an_unwritable_cache_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageUnavailableError,
        match=r"cannot write decoded images.*set data\.cache_dir to a writable folder",
    ) as error:
        load_images(DigitsConfig(cache_dir=tmp_path / "file" / "cache"))
    assert error.value.exit_code == 3
