"""Folders of images: accepted files, the split, and messages about problems."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.config.data import ImageFolderConfig
from orchestrator.data import ImageTable, load_images
from orchestrator.data.sources.image_folder import FolderSource
from orchestrator.data.sources.source import open_source
from orchestrator.errors import DataError


def save(file: Path, number: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(file)
    return file


def load(folder: Path, **values: object) -> ImageTable:
    settings = {
        "train": folder / "train",
        "image_size": 8,
        "num_channels": 1,
        "cache_dir": folder / "cache",
    } | values
    return load_images(ImageFolderConfig.model_validate(settings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        save(tmp_path / "train" / ("cat" if number < 10 else "dog") / f"{number}.png", number)
    return tmp_path


def names(source: FolderSource) -> list[str]:
    return [sample.where for sample in source.samples("train")]


def test_images_may_be_in_subfolders_and_have_any_known_suffix(tmp_path: Path) -> None:
    files = [save(tmp_path / "cat" / name) for name in ("a.PNG", "deep/er/b.jpeg", "c.webp")]
    assert names(FolderSource(tmp_path, None)) == sorted(str(file) for file in files)


def test_hidden_files_other_files_and_leftovers_of_archivers_are_skipped(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "a.png")
    save(tmp_path / "cat" / "._a.png")
    save(tmp_path / "cat" / ".thumbnails" / "a.png")
    save(tmp_path / "__MACOSX" / "cat" / "a.png")
    save(tmp_path / ".git" / "a.png")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("no class")
    assert names(FolderSource(tmp_path, None)) == [str(tmp_path / "cat" / "a.png")]


def test_a_link_to_its_own_parent_does_not_recurse_forever(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    elsewhere = save(tmp_path / "elsewhere" / "b.png").parent
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dog").symlink_to(elsewhere)
    assert names(FolderSource(tmp_path / "photos", None)) == [
        str(tmp_path / "photos" / "dog" / "b.png")
    ]
    assert str(tmp_path / "cat" / "a.png") in names(FolderSource(tmp_path, None))


def test_the_test_share_of_every_class_does_not_depend_on_file_names(folder: Path) -> None:
    table = load(folder, test_fraction=0.3)
    assert {label: int(table.is_test[table.labels == label].sum()) for label in ("cat", "dog")} == {
        "cat": 3,
        "dog": 3,
    }
    tested = {image.tobytes() for image in table.images[table.is_test]}
    for number, file in enumerate(sorted((folder / "train").rglob("*.png"))):
        file.rename(file.with_name(f"{100 - number}.png"))
    again = load(folder, test_fraction=0.3)
    assert {image.tobytes() for image in again.images[again.is_test]} == tested
    assert again.path != table.path


def test_equal_images_of_a_class_are_never_in_both_halves(folder: Path) -> None:
    for number in range(10):
        for copy in range(3):
            save(folder / "train" / "cat" / f"copy {copy} of {number}.png", number)
    table = load(folder, test_fraction=0.3)
    train, test = (
        {image.tobytes() for image in table.images[table.is_test == side]} for side in (False, True)
    )
    assert test
    assert not train & test


def test_a_changed_image_is_decoded_again_even_with_the_same_size_and_time(
    folder: Path,
) -> None:
    first = load(folder)
    file = folder / "train" / "cat" / "0.png"
    before = file.stat()
    content = bytearray(file.read_bytes())
    Image.open(save(folder / "other.png", 99)).save(file)
    padded = file.read_bytes().ljust(len(content), b"\0")
    file.write_bytes(padded[: before.st_size])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert load(folder).fingerprint != first.fingerprint


def test_a_data_set_of_two_folders_is_named_after_their_parent(folder: Path) -> None:
    save(folder / "test" / "cat" / "a.png", 50)
    save(folder / "test" / "dog" / "a.png", 51)
    assert load(folder, test=folder / "test").name == folder.name
    assert load(folder).name == "train"


def test_a_broken_image_is_named_before_anything_else_happens(folder: Path) -> None:
    (folder / "train" / "dog" / "11.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        load(folder)
    assert str(error.value).startswith(
        f"{folder}/train/dog/11.png: cannot be decoded (not an image of a known format)"
    )
    assert "orchestrator data import" in str(error.value)
    assert not list((folder / "cache").iterdir()), "nothing is left of what was decoded"


def test_a_dangling_link_is_named(folder: Path) -> None:
    (folder / "train" / "dog" / "x.png").symlink_to(folder / "gone.png")
    with pytest.raises(
        DataError, match=r"dog/x\.png: cannot be read \(No such file or directory\)"
    ):
        load(folder)


def test_a_pipe_is_named_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "train" / "dog" / "x.png")
    with pytest.raises(DataError, match=r"dog/x\.png: cannot be read \(not a file\)"):
        load(folder)


def test_a_class_folder_without_images_is_named(folder: Path) -> None:
    (folder / "train" / "owl").mkdir()
    with pytest.raises(
        DataError, match="train/owl: a class folder without images; add images or remove the folder"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("nothing", "no such folder"),
        ("file", "no such folder"),
        ("empty", "holds no class folders"),
        (
            "flat",
            "holds no class folders; put the images of each class into a folder",
        ),
    ],
)
def test_a_path_without_class_folders_is_named(tmp_path: Path, make: str, said: str) -> None:
    place = tmp_path / "train"
    if make == "file":
        place.touch()
    elif make == "empty":
        place.mkdir()
    elif make == "flat":
        save(place / "cat.png")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{place}: {said}")


def test_a_class_whose_name_is_no_valid_text_is_rejected(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")  # noqa: PTH102 - a name of bytes
    with pytest.raises(DataError, match="the name of a class folder is not valid text"):
        list(open_source(ImageFolderConfig(train=tmp_path)).samples("train"))
