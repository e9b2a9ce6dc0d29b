"""Configurations of image sources, including those of other distributions, describe their
origin.
"""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.config import Experiment, dump_experiment, flatten, load_experiment
from orchestrator.config.data import DataConfig
from orchestrator.config.image_source import ImageSourceExtension
from orchestrator.config.origins import FunctionOrigin
from orchestrator.config.unlabeled import UnlabeledConfig
from orchestrator.errors import ConfigError
from tests.extensions.distribution import install, install_npz

ARRIVED = {"name": "1.parquet", "sha256": 64 * "0", "delivery": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {},
    "parquet": {"train": "s3://bucket/train", "test": "/data/test.parquet"},
    "parquet without test": {"train": "/data/train.parquet"},
    "image_folder": {"train": "/data/train", "test": "/data/val"},
    "torchvision": {"name": "CIFAR10", "root": "/data"},
    "arrivals": {"path": "/data/in", "files": [ARRIVED], "deliveries": [["a", 1]]},
}
DIGITS = FunctionOrigin("scikit-learn", "sklearn.datasets.load_digits")
CIFAR10 = FunctionOrigin("torchvision", "torchvision.datasets.CIFAR10")


def source(name: str, **values: object) -> DataConfig:
    settings = {"kind": name.split(maxsplit=1)[0], **SETTINGS[name], **values}
    return Experiment.model_validate({"data": settings}).data


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("digits", DIGITS, DIGITS),
        ("parquet", "s3://bucket/train", "/data/test.parquet"),
        ("parquet without test", "/data/train.parquet", "/data/train.parquet"),
        ("image_folder", "/data/train", "/data/val"),
        ("torchvision", CIFAR10, CIFAR10),
        ("arrivals", "/data/in", "/data/in"),
    ],
)
def test_each_half_comes_from_an_address_or_from_code(
    name: str, train: object, test: object
) -> None:
    assert (source(name).origin("train"), source(name).origin("test")) == (train, test)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("digits", {}),
        ("parquet", {"train": "s3://bucket/train", "test": "/data/test.parquet"}),
        ("image_folder", {"train": "/data/train", "test": "/data/val"}),
        ("torchvision", {"root": "/data"}),
        ("arrivals", {"path": "/data/in"}),
    ],
)
def test_every_required_path_is_named_by_its_field(name: str, places: dict[str, str]) -> None:
    assert source(name).places == places


@pytest.mark.parametrize("name", SETTINGS)
def test_images_have_the_configured_size_and_channels(name: str) -> None:
    if name == "digits":
        assert source(name).shape == (1, 8, 8)
    else:
        assert source(name, image_size=64, num_channels=1).shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("test", "reserved"),
    [("/data/val", "/data"), ("/other/val", "/data/train"), (None, "/data/train")],
)
def test_the_folder_of_the_images_is_reserved(test: str | None, reserved: str) -> None:
    assert source("image_folder", test=test).reserved_folder == Path(reserved)


# --- images without labels ------------------------------------------------------------------------


def unlabeled(**settings: object) -> UnlabeledConfig:
    found = Experiment.model_validate({"data": {"unlabeled": settings}}).data.unlabeled
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("settings", "places", "origin"),
    [
        ({"kind": "parquet", "path": "s3://b/x"}, {"path": "s3://b/x"}, "s3://b/x"),
        ({"kind": "image_folder", "path": "/camera"}, {"path": "/camera"}, "/camera"),
        (
            {"kind": "labeled", "source": {"kind": "torchvision", **SETTINGS["torchvision"]}},
            {"source.root": "/data"},
            CIFAR10,
        ),
        ({"kind": "labeled", "source": {"kind": "digits"}}, {}, DIGITS),
    ],
)
def test_images_without_labels_name_their_places_and_origin(
    settings: dict[str, Any], places: dict[str, str], origin: object
) -> None:
    assert (unlabeled(**settings).places, unlabeled(**settings).origin) == (places, origin)


def test_a_wrong_setting_of_a_labeled_source_is_named_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "data: {unlabeled: {kind: labeled, source: {kind: torchvision, nmae: a, root: b}}}"
    )
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    said = "data: unlabeled.source.nmae is not a known key; did you mean source.name?"
    assert said in str(error.value)


def test_a_source_of_images_without_labels_cannot_have_unlabelled_images_itself() -> None:
    camera = {"kind": "parquet", "path": "/camera"}
    with pytest.raises(ValidationError, match="cannot have unlabelled images itself"):
        unlabeled(kind="labeled", source={"kind": "digits", "unlabeled": camera})


def test_an_experiment_with_images_without_labels_reads_back_equal_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for settings in (
        {"kind": "parquet", "path": "camera.parquet"},
        {"kind": "labeled", "source": {"kind": "image_folder", "train": "photos"}},
    ):
        experiment = Experiment.model_validate({"data": {"unlabeled": settings}})
        file = tmp_path / "experiment.yaml"
        file.write_text(dump_experiment(experiment))
        monkeypatch.chdir("/")
        assert load_experiment(file) == experiment
        assert experiment.data.unlabeled is not None
        [place] = set(experiment.data.unlabeled.places.values())
        assert place.startswith(str(tmp_path))
        monkeypatch.chdir(tmp_path)


# --- sources of other distributions ---------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path / "site")
    install_npz(tmp_path / "site")
    return tmp_path / "site"


def experiment(**settings: object) -> Experiment:
    return Experiment.model_validate({"data": {"kind": "npz", "train": "/pets.npz", **settings}})


@pytest.mark.usefixtures("site")
def test_an_installed_kind_is_chosen_by_name_and_has_the_settings_of_every_source() -> None:
    data = experiment(max_memory_gib=1, validation_fraction=0.5, image_size=16).data
    assert isinstance(data, ImageSourceExtension)
    assert type(data).__name__ == "NpzConfig"
    assert data.max_bytes == 2**30
    assert data.of_any_source["validation_fraction"] == 0.5
    assert data.shape == (3, 16, 16)


@pytest.mark.usefixtures("site")
def test_an_invalid_setting_of_an_installed_kind_is_named_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("data: {kind: npz, train: /pets.npz, image_size: 4, trian: x}")
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    assert "data.image_size = 4" in str(error.value)
    assert "data.trian is not a known key; did you mean data.train?" in str(error.value)


@pytest.mark.usefixtures("site")
def test_an_installed_kind_can_give_images_without_labels() -> None:
    found = unlabeled(kind="labeled", source={"kind": "npz", "train": "/pets.npz"})
    assert found.places["source.train"] == "/pets.npz"


@pytest.mark.usefixtures("site")
def test_an_experiment_with_an_installed_kind_reads_back_equal_and_flattens_for_mlflow(
    tmp_path: Path,
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_experiment(experiment(test="/test.npz")))
    assert load_experiment(file) == experiment(test="/test.npz")
    assert flatten(experiment())["data.train"] == "/pets.npz"


@pytest.mark.usefixtures("site")
def test_the_place_of_each_half_is_its_origin() -> None:
    data = experiment(test="/test.npz").data
    assert (data.origin("train"), data.origin("test")) == ("/pets.npz", "/test.npz")


def test_without_places_the_origin_is_the_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    text = (
        "from orchestrator.config.image_source import ImageSourceExtension\n"
        "class NoiseConfig(ImageSourceExtension):\n"
        "    pass\n"
        "config, format, open = NoiseConfig, 1, None\n"
    )
    offered = {"orchestrator.image_sources": {"noise": "noise_images"}}
    install(tmp_path / "site", offered, {"noise_images": text}, name="noise")
    data = Experiment.model_validate({"data": {"kind": "noise"}}).data
    assert data.origin("train") == FunctionOrigin("noise", "noise_images")


def test_a_kind_that_is_not_installed_is_rejected() -> None:
    with pytest.raises(ValidationError, match="'npz' found using 'kind' does not match any"):
        experiment()


def test_a_built_in_kind_cannot_be_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    offered = {"orchestrator.image_sources": {"digits": "npz_images:NpzSource"}}
    install(tmp_path / "site", offered, {})
    assert type(Experiment().data).__name__ == "DigitsConfig"
    assert type(source("digits")).__name__ == "DigitsConfig"
