"""Feature extractors for images of many sizes."""

import subprocess
import sys

import pytest
import torch

from orchestrator.config.backbones import (
    BackboneConfig,
    ResNet20Config,
    SmallCnnConfig,
    SmallCnnTinyConfig,
    TorchvisionConfig,
)
from orchestrator.config.teacher import TeacherConfig
from orchestrator.errors import ConfigError
from orchestrator.models import (
    Backbone,
    CosineClassifier,
    Network,
    ProjectionEmbedding,
    WhitenedEmbedding,
    build_backbone,
)
from orchestrator.models.network import extract_features, predict


def images(num: int, shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randint(
        0, 256, (num, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("config", "num_features"),
    [
        (SmallCnnConfig(), 512),
        (SmallCnnTinyConfig(), 128),
        (ResNet20Config(), 448),
        (ResNet20Config(pooled_sizes=(2,)), 256),
    ],
    ids=str,
)
def test_small_networks_have_the_same_number_of_features_for_every_image_size(
    config: BackboneConfig, num_features: int, channels: int, size: int
) -> None:
    backbone = build_backbone(config, (channels, size, size))
    features = backbone(images(3, (channels, size, size)))
    assert features.shape == (3, num_features)
    assert backbone.num_features == num_features
    assert features.isfinite().all()


@pytest.mark.parametrize("config", [SmallCnnConfig(), ResNet20Config()])
def test_an_images_features_do_not_depend_on_the_rest_of_the_batch(config: BackboneConfig) -> None:
    backbone = build_backbone(config, (1, 8, 8)).train()
    batch = images(4, (1, 8, 8))
    torch.testing.assert_close(backbone(batch)[:1], backbone(batch[:1]))


def test_features_of_several_stages_are_those_of_each_of_them() -> None:
    def features(*pooled_sizes: int) -> torch.Tensor:
        torch.manual_seed(0)
        found: torch.Tensor = build_backbone(
            ResNet20Config(pooled_sizes=pooled_sizes), (3, 32, 32)
        )(images(2, (3, 32, 32)))
        return found

    every, last = features(4, 2, 1), features(1)
    assert torch.equal(every[:, -64:], last)
    assert torch.equal(every[:, -64 - 128 :], features(2, 1))
    first = every[:, : 16 * 16].unflatten(1, (16, 4, 4))
    torch.testing.assert_close(first.mean(dim=(2, 3)), features(1, 2, 1)[:, :16])


def test_small_networks_import_neither_torchvision_nor_timm() -> None:
    code = (
        "import sys\n"
        "from orchestrator.config.backbones import ResNet20Config, SmallCnnTinyConfig\n"
        "from orchestrator.models.backbones import backbone_identity, build_backbone\n"
        "for config in (ResNet20Config(), SmallCnnTinyConfig()):\n"
        "    build_backbone(config, (3, 32, 32)), backbone_identity(config)\n"
        "print({'torchvision', 'timm'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


def test_different_images_have_different_features() -> None:
    backbone = build_backbone(SmallCnnConfig(), (1, 8, 8))
    first, second = backbone(images(2, (1, 8, 8)))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_the_student_has_at_most_a_third_of_the_teachers_parameters(
    shape: tuple[int, int, int],
) -> None:
    config = TeacherConfig()
    large, tiny = (
        build_backbone(SmallCnnConfig(), shape),
        build_backbone(SmallCnnTinyConfig(), shape),
    )
    width = config.joint_embedding.adapter_width
    dimensions = config.joint_embedding.dimensions_for(large.num_features)
    teacher = Network(
        large,
        WhitenedEmbedding(large.num_features, dimensions, width),
        CosineClassifier(dimensions),
    )
    student = Network(
        tiny, ProjectionEmbedding(tiny.num_features, dimensions), CosineClassifier(dimensions)
    )
    for network in (teacher, student):
        network.classifier.anchor(torch.randn(10, dimensions))
    assert student.num_parameters() <= teacher.num_parameters() / 3


def test_the_number_of_parameters_includes_buffers_learned_from_data() -> None:
    backbone = build_backbone(SmallCnnTinyConfig(), (1, 8, 8))
    network = Network(backbone, WhitenedEmbedding(128, 8, 4), CosineClassifier(8))
    network.classifier.anchor(torch.randn(5, 8))
    # an 8x8 image is halved once, hence: convolutions 1→16→32→32 of 3x3 without bias, a scale and a
    # shift for each of their outputs
    extractor = 9 * (1 * 16 + 16 * 32 + 32 * 32) + 2 * (16 + 32 + 32)
    # whitening, offset, standardisation, adapter 128→4→8 with biases
    embedding = 128 * 8 + 8 + 2 * 128 + (128 * 4 + 4) + (4 * 8 + 8)
    classifier = 2 * 5 * 8
    assert network.num_parameters() == extractor + embedding + classifier


def test_a_network_gives_features_embeddings_and_logits() -> None:
    backbone = build_backbone(SmallCnnTinyConfig(), (3, 16, 16))
    network = Network(backbone, ProjectionEmbedding(128, 8), CosineClassifier(8))
    network.classifier.anchor(torch.randn(5, 8))
    output = network(images(2, (3, 16, 16)))
    assert [tuple(part.shape) for part in output] == [(2, 128), (2, 8), (2, 5)]


def test_prediction_in_batches_equals_prediction_at_once() -> None:
    backbone = build_backbone(SmallCnnTinyConfig(), (1, 8, 8))
    network = Network(backbone, ProjectionEmbedding(128, 8), CosineClassifier(8))
    network.classifier.anchor(torch.randn(3, 8))
    many = images(1030, (1, 8, 8))  # more than one batch of 1024
    torch.testing.assert_close(predict(network, many), network(many).logits)
    torch.testing.assert_close(extract_features(backbone, many), backbone(many))
    assert not predict(network, many).requires_grad


@pytest.fixture(scope="module")
def resnet() -> Backbone:
    return build_backbone(TorchvisionConfig(name="resnet18"), (1, 32, 32))


def test_a_torchvision_model_works_without_its_last_layer_also_on_grey_images(
    resnet: Backbone,
) -> None:
    resnet.eval()
    assert resnet.num_features == 512
    assert resnet(images(2, (1, 32, 32))).shape == (2, 512)
    grey = images(1, (1, 32, 32))
    torch.testing.assert_close(resnet(grey), resnet(grey.expand(-1, 3, -1, -1)))


def test_a_torchvision_model_standardises_with_imagenets_statistics(resnet: Backbone) -> None:
    seen: list[torch.Tensor] = []
    handle = resnet.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    resnet.eval()(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    handle.remove()
    # (1 - mean) / deviation of the published ImageNet statistics
    torch.testing.assert_close(
        seen[0][0, :, 0, 0],
        torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
    )


def test_an_unknown_torchvision_model_suggests_the_nearest() -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"backbone\.name: torchvision has no classification model 'resnet81'; did you mean"
            r" resnet"
        ),
    ) as error:
        build_backbone(TorchvisionConfig(name="resnet81"), (3, 32, 32))
    assert error.value.exit_code == 2


def test_unknown_weights_are_reported() -> None:
    with pytest.raises(
        ConfigError, match=r"backbone\.weights: the weights 'NONESUCH' of resnet18 cannot be loaded"
    ):
        build_backbone(TorchvisionConfig(name="resnet18", weights="NONESUCH"), (3, 32, 32))
