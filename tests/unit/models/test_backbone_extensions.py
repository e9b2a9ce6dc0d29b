"""Backbones of other distributions are built, identified and rebuilt like built-in ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.errors import ConfigError
from orchestrator.methods.artifacts import network_tensors, rebuilt_network
from orchestrator.methods.method import ArtifactContext
from orchestrator.models import CosineClassifier, Network, ProjectionEmbedding
from orchestrator.models.backbones import build_backbone, weights_identity
from orchestrator.models.network import predict
from orchestrator.stages import check_backbones, prepare_work
from orchestrator.stages.graph import weights_of
from tests.extensions.distribution import install_block_means

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of installed packages, which contains the backbones' distribution."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    install_block_means(folder)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.pt"
    torch.save({"weight": torch.arange(24.0).view(6, 4), "bias": torch.zeros(6)}, file)
    return file


def experiment_with(base: Experiment, role: str, **values: object) -> Experiment:
    backbone = {"kind": "block_means", **values}
    return with_values(base, {f"{role}.backbone": backbone})


def keys(experiment: Experiment, role: str) -> list[str]:
    return [stage.key for stage in prepare_work(experiment).stages if stage.role == role]


def test_a_backbone_is_built_by_the_object_of_its_entry_point(
    tiny_experiment: Experiment,
) -> None:
    config = experiment_with(tiny_experiment, "teacher", input_size=12, mirrored=True)
    extractor = build_backbone(config.teacher.backbone, SHAPE)
    assert (extractor.num_features, extractor.input_size, extractor.mirrored) == (6, 12, True)
    assert extractor(torch.zeros(3, *SHAPE, dtype=torch.uint8)).shape == (3, 6)


def test_pre_trained_weights_are_loaded_and_identified_by_the_extension(
    tiny_experiment: Experiment, weights: Path
) -> None:
    random = experiment_with(tiny_experiment, "teacher")
    pretrained = experiment_with(tiny_experiment, "teacher", weights=str(weights))
    assert weights_identity(random.teacher.backbone) == ""
    assert len(weights_of(pretrained)["teacher"]) == 64
    # each of the four blocks of a white image has mean 1, so a row of the layer gives its sum
    features = build_backbone(pretrained.teacher.backbone, SHAPE)(
        torch.full((1, *SHAPE), 255, dtype=torch.uint8)
    )
    assert features.tolist() == [[6.0, 22.0, 38.0, 54.0, 70.0, 86.0]]


def test_stage_keys_depend_on_the_weights_content_and_not_on_its_path(
    tiny_experiment: Experiment, weights: Path, tmp_path: Path
) -> None:
    there = tmp_path / "elsewhere.pt"
    there.write_bytes(weights.read_bytes())
    before, moved = (
        keys(experiment_with(tiny_experiment, "student", weights=str(file)), "student")
        for file in (weights, there)
    )
    assert moved == before
    torch.save({"weight": torch.ones(6, 4), "bias": torch.zeros(6)}, weights)
    others = keys(experiment_with(tiny_experiment, "student", weights=str(weights)), "student")
    assert not set(others) & set(before)


def test_stage_keys_depend_on_the_version_of_the_distribution(
    tiny_experiment: Experiment, site: Path
) -> None:
    experiment = experiment_with(tiny_experiment, "student")
    before = {role: keys(experiment, role) for role in ("teacher", "student")}
    install_block_means(site, version="1.1")
    after = {role: keys(experiment, role) for role in ("teacher", "student")}
    assert after["teacher"] == before["teacher"]
    assert not set(after["student"]) & set(before["student"])


def test_a_pre_trained_extractor_may_be_an_extension_with_weights(
    tiny_experiment: Experiment, weights: Path
) -> None:
    def pretrained(**values: Any) -> Experiment:  # noqa: ANN401 - settings of the backbone
        experiment = experiment_with(tiny_experiment, "teacher", **values)
        return with_values(experiment, {"teacher.extractor.kind": "pretrained"})

    assert pretrained(weights=str(weights)).teacher.extractor.kind == "pretrained"
    with pytest.raises(
        ConfigError, match=r"block_means has no pre-trained weights; give backbone\.weights"
    ):
        pretrained()


def test_a_trained_network_is_rebuilt_without_the_file_of_its_pre_trained_weights(
    tiny_experiment: Experiment, weights: Path
) -> None:
    experiment = experiment_with(tiny_experiment, "student", weights=str(weights))
    extractor = build_backbone(experiment.backbone_of("student"), SHAPE)
    for parameter in extractor.parameters():
        nn.init.normal_(parameter)
    network = Network(extractor, ProjectionEmbedding(6, 32), CosineClassifier(32))
    network.classifier.anchor(torch.randn(3, 32))
    weights.unlink()
    context = ArtifactContext("student", experiment, SHAPE, torch.device("cpu"))
    again = rebuilt_network(network_tensors(network), context)
    images = torch.randint(0, 256, (5, *SHAPE), dtype=torch.uint8)
    assert torch.equal(predict(again, images), predict(network, images))


def test_an_extension_that_builds_nothing_is_rejected(tiny_experiment: Experiment) -> None:
    experiment = with_values(tiny_experiment, {"teacher.backbone": {"kind": "no_backbone"}})
    with pytest.raises(
        ConfigError, match=r"backbone\.kind: the backbone 'no_backbone' has no function `build`"
    ):
        build_backbone(experiment.teacher.backbone, SHAPE)


def test_a_backbone_that_declares_another_number_of_features_is_rejected(
    tiny_experiment: Experiment,
) -> None:
    experiment = experiment_with(tiny_experiment, "student", num_features=6, declared=7)
    with pytest.raises(
        ConfigError,
        match=(
            r"student\.backbone: the backbone returns 6 features per image, but it declares 7;"
            r" choose another backbone"
        ),
    ):
        check_backbones(experiment, prepare_work(experiment).scenario)


def test_an_uninstalled_backbone_is_named_in_the_error(
    tiny_experiment: Experiment, site: Path
) -> None:
    experiment = experiment_with(tiny_experiment, "teacher")
    for file in site.glob("*.dist-info/entry_points.txt"):
        file.unlink()
    with pytest.raises(ConfigError, match="the backbone 'block_means' is not installed"):
        build_backbone(experiment.teacher.backbone, SHAPE)
