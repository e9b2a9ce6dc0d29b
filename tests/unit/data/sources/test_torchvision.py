"""Data sets by torchvision's names: the message if one is missing, and their labels and files."""

import gc
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.config.data import TorchvisionDataConfig
from orchestrator.data.loading import load_images
from orchestrator.data.sources.source import open_source
from orchestrator.errors import DataError, OrchestratorError, StorageUnavailableError


def config(root: Path, name: str, **values: object) -> TorchvisionDataConfig:
    return TorchvisionDataConfig.model_validate(
        {"name": name, "root": root, "cache_dir": root / "cache", "image_size": 8} | values
    )


def said(
    root: Path, name: str, error_type: type[OrchestratorError] = DataError, **values: object
) -> str:
    with pytest.raises(error_type) as error:
        load_images(config(root, name, **values))
    return str(error.value)


def test_a_missing_data_set_is_an_error_that_names_the_expected_files(tmp_path: Path) -> None:
    message = said(tmp_path / "x", "CIFAR10")
    assert message.startswith(f"data.root = {tmp_path}/x: CIFAR10 is missing (Dataset not found")
    assert (
        f"put {tmp_path}/x/cifar-10-batches-py, unpacked from https://www.cs.toronto.edu/"
        in message
    )
    assert "or set data.download=true with network access" in message


def test_a_data_set_that_torchvision_cannot_download_is_reported_as_such(tmp_path: Path) -> None:
    assert "torchvision cannot download it" in said(tmp_path, "ImageNet", download=True)


def test_a_download_without_a_network_is_a_retryable_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test points the network to an address that leads nowhere."""
    monkeypatch.setattr(
        "torchvision.datasets.CIFAR10.url", "http://127.0.0.1:9/cifar-10-python.tar.gz"
    )
    message = said(tmp_path, "CIFAR10", StorageUnavailableError, download=True)
    assert "CIFAR10 is missing and cannot be downloaded" in message
    assert "with network access" in message


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    message = said(tmp_path, "CIFAR11")
    assert message.startswith("data.name: torchvision has no data set 'CIFAR11'; names are ")
    assert "CIFAR10, CIFAR100" in message


def test_an_invalid_option_is_reported(tmp_path: Path) -> None:
    assert "unexpected keyword argument 'sise'" in said(tmp_path, "FakeData", options={"sise": 3})
    assert "correct data.options" in said(tmp_path, "EMNIST")  # needs options.split


def test_labels_are_class_names_and_files_are_read_unchanged(tmp_path: Path) -> None:
    for half in ("train", "test"):
        for label in ("AD", "ZW"):
            folder = tmp_path / "country211" / half / label
            folder.mkdir(parents=True)
            Image.new("RGB", (9, 9), "red").save(folder / "1.jpg")
    (tmp_path / "country211" / "valid").mkdir()
    first, second = (
        sample.load() for sample in open_source(config(tmp_path, "Country211")).samples("test")
    )
    assert (first[0], second[0]) == ("AD", "ZW")
    assert first[1] == (tmp_path / "country211" / "test" / "AD" / "1.jpg").read_bytes()


def test_a_data_set_without_class_names_has_integer_labels(tmp_path: Path) -> None:
    table = load_images(config(tmp_path, "FakeData", options={"size": 20, "num_classes": 2}))
    assert table.integer_labels
    assert set(table.labels.tolist()) == {"0", "1"}


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # torchvision leaves the masks' files open
def test_targets_that_are_no_classes_are_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "oxford-iiit-pet"
    (folder / "annotations" / "trimaps").mkdir(parents=True)
    (folder / "images").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "images" / "Pug_1.jpg")
    Image.new("L", (9, 9)).save(folder / "annotations" / "trimaps" / "Pug_1.png")
    for name in ("trainval", "test"):
        (folder / "annotations" / f"{name}.txt").write_text("Pug_1 1 1 1\n")
    assert "its target is not a class" in said(
        tmp_path, "OxfordIIITPet", options={"target_types": "segmentation"}
    )
    gc.collect()
    assert load_images(config(tmp_path, "OxfordIIITPet")).labels.tolist() == ["Pug", "Pug"]
