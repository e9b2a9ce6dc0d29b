"""Problems of a data set are reported; the images of each test cause exactly one finding."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.samples import HALVES, natural_key
from orchestrator.data.sources.image_folder import FolderSource
from orchestrator.data.survey import BadImage, Survey, examine, new_survey


def save(file: Path, number: int, size: tuple[int, int] = (8, 8), mode: str = "L") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size[::-1], np.uint8)).convert(
        mode
    ).save(file)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set without problems: two classes of two images in each half."""
    for number, (half, label) in enumerate(
        (half, label) for half in HALVES for label in ("cat", "dog")
    ):
        for index in range(2):
            save(tmp_path / half / label / f"{number}-{index}.png", 10 * number + index)
    return tmp_path


def survey(folder: Path) -> Survey:
    source = FolderSource(folder / "train", folder / "test")
    found = new_survey(source)
    for half in HALVES:
        for sample in source.samples(half):
            examined = examine(sample, half, (3, 8, 8))
            found.add(examined if isinstance(examined, BadImage) else examined.facts)
    return found


def test_a_good_data_set_has_no_findings(folder: Path) -> None:
    found = survey(folder)
    assert found.findings() == []
    assert found.counts == {"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2}}
    assert (found.classes, found.num_usable, found.labels_are_integers) == (
        ["cat", "dog"],
        8,
        False,
    )


def test_sizes_and_modes_are_counted(folder: Path) -> None:
    save(folder / "train" / "cat" / "wide.png", 50, (12, 9), "RGBA")
    found = survey(folder)
    assert found.sizes == {(8, 8): 8, (12, 9): 1}
    assert found.modes == {"L": 8, "RGBA": 1}


def test_unusable_images_are_named_with_the_reason(folder: Path) -> None:
    bad = folder / "train" / "cat" / "bad.png"
    bad.write_bytes(b"")
    found = survey(folder)
    assert found.bad == [("train", str(bad), "cannot be decoded (not an image of a known format)")]
    assert found.findings() == [
        f"1 image that cannot be used: {bad} cannot be decoded (not an image of a known format)"
    ]
    assert found.num_usable == 8


def test_classes_in_only_one_half_and_empty_ones_are_named(folder: Path) -> None:
    save(folder / "test" / "owl" / "o.png", 60)
    save(folder / "train" / "fox" / "f.png", 61)
    (folder / "train" / "yak").mkdir()
    assert survey(folder).findings() == [
        f"class folder without images: {folder}/train/yak",
        "class 'fox' is in training but not in test",
        "class 'owl' is in test but not in training",
    ]


def test_an_image_in_both_halves_is_named(folder: Path) -> None:
    first, second = (
        save(folder / "train" / "cat" / "a.png", 70),
        save(folder / "test" / "cat" / "b.png", 70),
    )
    assert survey(folder).findings() == [
        f"1 image with the same content in training and in test: {first} = {second}"
    ]


def test_an_image_in_two_classes_is_named(folder: Path) -> None:
    first, second = (
        save(folder / "train" / "cat" / "a.png", 70),
        save(folder / "train" / "dog" / "b.png", 70),
    )
    assert survey(folder).findings() == [
        f"1 image with the same content under several classes: {first} = {second}"
    ]


def test_a_duplicate_within_a_class_is_named(folder: Path) -> None:
    first, second = (
        save(folder / "train" / "cat" / "a.png", 70),
        save(folder / "train" / "cat" / "b.png", 70),
    )
    assert survey(folder).findings() == [
        f"1 image with the same content twice or more in one class: {first} = {second}"
    ]


def test_of_three_equal_images_the_pair_across_classes_is_named(folder: Path) -> None:
    first = save(folder / "train" / "bird" / "dup.png", 70)
    save(folder / "train" / "bird" / "img8.png", 70)
    other = save(folder / "train" / "fish" / "dup.png", 70)
    for label in ("bird", "fish"):
        save(folder / "test" / label / "a.png", 71 + len(label) + ord(label[0]))
    assert survey(folder).findings() == [
        f"1 image with the same content under several classes: {first} = {other}"
    ]


def test_of_three_equal_images_the_pair_across_the_halves_is_named(folder: Path) -> None:
    first = save(folder / "train" / "cat" / "a.png", 70)
    save(folder / "train" / "cat" / "b.png", 70)
    other = save(folder / "test" / "cat" / "c.png", 70)
    assert survey(folder).findings() == [
        f"1 image with the same content in training and in test: {first} = {other}"
    ]


def test_a_file_name_shared_by_several_images_is_no_finding(folder: Path) -> None:
    for label in ("cat", "dog"):
        save(folder / "train" / label / "same.png", 80 + (label == "cat"))
    assert survey(folder).findings() == []


def test_images_of_an_unusual_size_are_named(folder: Path) -> None:
    dot = save(folder / "train" / "cat" / "dot.png", 60, (1, 1))
    line = save(folder / "train" / "dog" / "line.png", 61, (2000, 3))
    save(folder / "train" / "dog" / "wide.png", 62, (80, 4))
    assert survey(folder).findings() == [
        (
            "2 images of an unusual size (a side under 4 pixels, or 20 times as long as the other):"
            f" {dot} (1x1); {line} (2000x3)"
        )
    ]


def test_images_next_to_the_class_folders_are_named(folder: Path) -> None:
    stray = save(folder / "train" / "stray.png", 60)
    (folder / "train" / "notes.txt").touch()
    assert survey(folder).findings() == [f"1 image next to the class folders, in no class: {stray}"]


def test_numbers_are_sorted_by_value_and_before_text() -> None:
    assert sorted(["10", "b", "9", "a"], key=natural_key) == ["9", "10", "a", "b"]
