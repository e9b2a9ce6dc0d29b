"""Exported models: each kind of network is packaged, and loaded again by MLflow alone."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import Model
from torch import nn

from orchestrator.config.backbones import (
    SmallCnnConfig,
    SmallCnnTinyConfig,
    TimmConfig,
    TorchvisionConfig,
)
from orchestrator.models import (
    AnyNetwork,
    CosineClassifier,
    LinearClassifier,
    Network,
    PowerNormalization,
    ProjectionEmbedding,
    WhitenedEmbedding,
    build_backbone,
)
from orchestrator.models.network import predict
from orchestrator.tracking.mlflow.packaging import example_images, package_model
from orchestrator.tracking.model_facts import MAX_TAG_BYTES, ModelFacts, fitting_json

GREY, COLOUR = (1, 8, 8), (3, 32, 32)
NAMES = ["zero", "one", "two", "drei", "vier"]
DIMENSIONS = 16


def facts(class_names: list[str] = NAMES) -> ModelFacts:
    return ModelFacts(
        "student", "dual_teacher", "digits", "ab" * 32, class_names, 1234, 0.9538, 0.9761, 0.0384
    )


def cosine() -> CosineClassifier:
    classifier = CosineClassifier(DIMENSIONS)
    classifier.anchor(torch.randn(len(NAMES), DIMENSIONS))
    return classifier


def taught() -> AnyNetwork:
    extractor = build_backbone(SmallCnnConfig(), GREY)
    embedding = WhitenedEmbedding(extractor.num_features, DIMENSIONS, 8)
    embedding.whitening.normal_()
    for parameter in embedding.adapter.parameters():
        nn.init.normal_(parameter)
    return Network(extractor, embedding, cosine())


def distilled() -> AnyNetwork:
    extractor = build_backbone(SmallCnnTinyConfig(), GREY)
    return Network(extractor, ProjectionEmbedding(extractor.num_features, DIMENSIONS), cosine())


def closed_form() -> AnyNetwork:
    extractor = build_backbone(SmallCnnTinyConfig(), GREY)
    weights = torch.randn(extractor.num_features, len(NAMES))
    return Network(
        extractor, PowerNormalization(), LinearClassifier(weights, torch.randn(len(NAMES)))
    )


def residual() -> AnyNetwork:
    """Return a network with batch normalisation, for grey images that it repeats as colours."""
    extractor = build_backbone(TorchvisionConfig(name="resnet18"), GREY)
    return Network(extractor, ProjectionEmbedding(extractor.num_features, DIMENSIONS), cosine())


def transformer() -> AnyNetwork:
    extractor = build_backbone(TimmConfig(name="test_vit", input_size=32), GREY)
    return Network(extractor, ProjectionEmbedding(extractor.num_features, DIMENSIONS), cosine())


def mirrored() -> AnyNetwork:
    extractor = build_backbone(SmallCnnTinyConfig(input_size=12, mirrored=True), GREY)
    return Network(extractor, ProjectionEmbedding(extractor.num_features, DIMENSIONS), cosine())


def images_of(num: int, shape: tuple[int, int, int] = GREY) -> torch.Tensor:
    return torch.randint(
        0, 256, (num, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(num)
    )


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnyNetwork, Path]:
    network, folder = distilled(), tmp_path_factory.mktemp("packages") / "student"
    package_model(network, GREY, facts(), folder)
    return network, folder


@pytest.mark.parametrize("build", [taught, distilled, closed_form, residual, transformer, mirrored])
def test_a_packaged_network_of_any_kind_gives_the_same_logits_for_one_image_and_for_many(
    build: Callable[[], AnyNetwork], tmp_path: Path
) -> None:
    network = build()
    package_model(network, GREY, facts(), tmp_path / "model")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    for num in (1, 7):
        images = images_of(num)
        logits = loaded.predict(images.numpy())
        assert logits.dtype == np.float32
        assert np.array_equal(logits, predict(network, images).numpy())


def test_a_network_in_training_mode_is_packaged_in_evaluation_mode_and_left_unchanged(
    tmp_path: Path,
) -> None:
    network = residual()
    network.train()
    network(images_of(32))  # moves batch normalisation's statistics away from their start
    before = copy.deepcopy(network.state_dict())
    package_model(network, GREY, facts(), tmp_path / "model")
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    logits = mlflow.pytorch.load_model(str(tmp_path / "model"))(images_of(7))
    assert torch.equal(logits, predict(network, images_of(7)))


def test_a_package_needs_no_pickle(
    packaged: tuple[AnyNetwork, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, folder = packaged
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    logits = mlflow.pytorch.load_model(str(folder))(images_of(3))
    assert torch.equal(logits, predict(network, images_of(3)))
    assert not list(folder.rglob("*.p*kl*"))


class Branching(nn.Module):
    """Module that no graph can represent: a branch that depends on values."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features if features.sum() > 0 else -features


def test_a_network_that_cannot_be_exported_leaves_no_partial_package(tmp_path: Path) -> None:
    extractor = build_backbone(SmallCnnTinyConfig(), GREY)
    network = Network(
        extractor,
        Branching(),
        LinearClassifier(torch.randn(extractor.num_features, 5), torch.randn(5)),
    )
    with pytest.raises(Exception, match="data-dependent"):
        package_model(network, GREY, facts(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


class Counting(nn.Module):
    """Module that a graph can represent for one number of images only: torch.export treats the
    number as a constant.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * len(features)


def test_a_network_whose_graph_fixes_the_number_of_images_is_rejected(tmp_path: Path) -> None:
    extractor = build_backbone(SmallCnnTinyConfig(), GREY)
    network = Network(
        extractor,
        Counting(),
        LinearClassifier(torch.randn(extractor.num_features, 5), torch.randn(5)),
    )
    with pytest.raises(RuntimeError, match="only accepts batches of 2 images"):
        package_model(network, GREY, facts(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_images_of_another_size_or_type_are_rejected_with_the_expected_shape(
    packaged: tuple[AnyNetwork, Path],
) -> None:
    loaded = mlflow.pyfunc.load_model(str(packaged[1]))
    with pytest.raises(Exception, match=r"\(-1, 1, 8, 8\)"):
        loaded.predict(images_of(2, COLOUR).numpy())
    with pytest.raises(Exception, match="uint8"):
        loaded.predict(images_of(2).float().numpy())


def test_a_package_describes_its_inputs_outputs_and_origin(
    packaged: tuple[AnyNetwork, Path],
) -> None:
    model = Model.load(str(packaged[1]))
    assert model.signature.inputs.to_dict() == [
        {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": (-1, 1, 8, 8)}}
    ]
    assert model.signature.outputs.to_dict() == [
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": (-1, len(NAMES))}}
    ]
    assert model.metadata == {
        "role": "student",
        "method": "dual_teacher",
        "dataset": "digits",
        "dataset_fingerprint": "ab" * 32,
        "class_names": NAMES,
        "num_parameters": 1234,
        "last_accuracy": 0.9538,
        "average_incremental_accuracy": 0.9761,
        "forgetting": 0.0384,
    }
    assert np.array_equal(
        np.asarray(model.load_input_example(str(packaged[1]))), example_images(GREY)
    )


def test_a_package_requires_the_exact_versions_it_was_made_with(
    packaged: tuple[AnyNetwork, Path],
) -> None:
    asked = (packaged[1] / "requirements.txt").read_text().splitlines()
    assert asked == [
        f"{name}=={metadata.version(name).split('+')[0]}" for name in ("mlflow", "numpy", "torch")
    ]


def test_a_package_loads_on_the_cpu_even_if_there_is_a_gpu(
    packaged: tuple[AnyNetwork, Path],
) -> None:
    assert Model.load(str(packaged[1])).flavors["python_function"]["config"] == {"device": "cpu"}


def test_packaging_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package_model(distilled(), GREY, facts(), tmp_path / "model")
    assert capfd.readouterr() == ("", "")


def test_the_facts_equal_those_of_the_summary() -> None:
    measures = {
        "num_parameters": 7,
        "last_accuracy": 0.5,
        "average_incremental_accuracy": 0.75,
        "forgetting": 0.25,
        "plasticity": 1.0,
    }
    summary = {
        "method": "analytic",
        "dataset": {"name": "digits", "fingerprint": "cd" * 32},
        "tasks": [{"index": 0, "classes": [3, 1]}, {"index": 1, "classes": ["cat"]}],
        "teacher": measures,
        "student": {**measures, "last_accuracy": 0.25},
    }
    assert ModelFacts.of(summary, "student") == ModelFacts(
        "student", "analytic", "digits", "cd" * 32, ["3", "1", "cat"], 7, 0.25, 0.75, 0.25
    )
    assert ModelFacts.of(summary, "teacher").last_accuracy == 0.5


def test_facts_as_tags_are_text_and_class_names_are_a_json_list() -> None:
    assert facts().tags() == {
        "role": "student",
        "method": "dual_teacher",
        "dataset": "digits",
        "dataset_fingerprint": "ab" * 32,
        "class_names": '["zero", "one", "two", "drei", "vier"]',
        "num_classes": "5",
        "num_parameters": "1234",
        "last_accuracy": "0.9538",
        "average_incremental_accuracy": "0.9761",
        "forgetting": "0.0384",
    }


def test_the_description_has_percent_and_the_first_classes() -> None:
    assert (
        facts().description()
        == "The student of dual_teacher on digits, 5 classes: last accuracy 95.4%, average"
        " incremental accuracy 97.6%, forgetting 3.8%. Classes: zero, one, two, drei, vier."
    )
    many = replace(facts(), class_names=[f"{number:0100}" for number in range(1000)])
    assert len(many.description()) < 5000, "what MLflow's database holds"
    assert many.description().endswith(" and 980 more.")


def test_class_names_too_long_for_a_tag_are_truncated_to_valid_json() -> None:
    names = [f"klasse mit größe {i}" for i in range(5000)]
    tag = facts(names).tags()["class_names"]
    kept = json.loads(tag)
    assert MAX_TAG_BYTES - 40 < len(tag.encode()) <= MAX_TAG_BYTES
    assert kept == [*names[: len(kept) - 1], "…"]
    assert facts(names).tags()["num_classes"] == "5000"


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(min_value=7, max_value=60))
def test_a_truncated_list_is_a_prefix_of_the_whole_list(texts: list[str], max_bytes: int) -> None:
    fitting = fitting_json([text.replace("…", "") for text in texts], max_bytes)
    assert len(fitting.encode()) <= max_bytes
    kept = json.loads(fitting)
    whole = [text.replace("…", "") for text in texts]
    assert kept == whole or (kept[-1] == "…" and kept[:-1] == whole[: len(kept) - 1])
