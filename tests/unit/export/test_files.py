"""Files of both formats compute the module's outputs and describe the model; int8 files are close
and small.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from orchestrator.config.backbones import BackboneConfig, SmallCnnTinyConfig, TimmConfig
from orchestrator.errors import NotConvertibleError
from orchestrator.export.arrays import Images
from orchestrator.export.description import Description
from orchestrator.export.formats import Format, open_file, read_texts, write_file
from orchestrator.export.onnx_file import INPUT, OUTPUT
from orchestrator.export.program import trace
from orchestrator.export.pt2_file import as_predictor
from orchestrator.export.quantization import quantize
from orchestrator.models import build_backbone

SHAPE = (3, 16, 16)
DESCRIPTION = Description(
    ("cat", "Bär, brown", "9"), SHAPE, "student", "3f2a9c1e", "pets", "pets of 2026"
)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)


class Classifier(nn.Module):
    """A backbone of this project and a linear layer."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.extractor = build_backbone(config, SHAPE)
        self.linear = nn.Linear(self.extractor.num_features, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.extractor(images))
        return logits


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return Classifier(SmallCnnTinyConfig()).eval()


@pytest.fixture(scope="module")
def files(classifier: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Path]:
    folder = tmp_path_factory.mktemp("exported")
    kinds: tuple[Format, ...] = ("onnx", "pt2")
    for kind in kinds:
        write_file(trace(classifier, SHAPE), kind, DESCRIPTION.texts(), folder / f"model.{kind}")
    return {kind: folder / f"model.{kind}" for kind in kinds}


def metadata(file: Path) -> dict[str, str]:
    found: dict[str, str] = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    return found


@pytest.mark.parametrize("num", [1, 2, 40])
@pytest.mark.parametrize(("kind", "tolerance"), [("onnx", 1e-5), ("pt2", 0.0)])
def test_a_file_computes_the_modules_outputs_for_any_number_of_images(
    files: dict[Format, Path], classifier: nn.Module, kind: Format, tolerance: float, num: int
) -> None:
    for num_threads in (0, 1):
        logits = open_file(files[kind], kind, num_threads)(IMAGES[:num])
        assert np.abs(logits - as_predictor(classifier)(IMAGES[:num])).max() <= tolerance


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_file_of_a_network_that_resizes_and_mirrors_computes_its_outputs(
    kind: Format, tmp_path: Path
) -> None:
    mirrored = Classifier(SmallCnnTinyConfig(input_size=24, mirrored=True)).eval()
    write_file(trace(mirrored, SHAPE), kind, DESCRIPTION.texts(), tmp_path / "model")
    for num in (1, 2, 40):
        assert (
            np.abs(
                open_file(tmp_path / "model", kind)(IMAGES[:num])
                - as_predictor(mirrored)(IMAGES[:num])
            ).max()
            <= 1e-5
        )


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
@pytest.mark.parametrize(
    "config",
    [
        TimmConfig(name="test_resnet", input_size=32),
        TimmConfig(name="test_vit", input_size=32),
        pytest.param(
            TimmConfig(name="vit_small_patch14_reg4_dinov2", input_size=28), marks=pytest.mark.slow
        ),
    ],
    ids=["convolutional", "transformer", "DINOv2"],
)
def test_a_file_of_a_timm_network_computes_its_outputs(
    config: TimmConfig, kind: Format, tmp_path: Path
) -> None:
    network = Classifier(config).eval()
    write_file(trace(network, SHAPE), kind, DESCRIPTION.texts(), tmp_path / "model")
    predict = open_file(tmp_path / "model", kind)
    for num in (1, 2, 40):
        expected = as_predictor(network)(IMAGES[:num])
        assert (
            np.abs(predict(IMAGES[:num]) - expected).max() <= 1e-5 * np.abs(expected).max() + 1e-5
        )


def test_both_formats_describe_the_model_equally(files: dict[Format, Path]) -> None:
    extra = dict.fromkeys(DESCRIPTION.texts(), "")
    torch.export.load(files["pt2"], extra_files=extra)
    assert extra == DESCRIPTION.texts() == metadata(files["onnx"])
    assert all(read_texts(file, kind) == extra for kind, file in files.items())
    assert json.loads(extra["class_names"]) == ["cat", "Bär, brown", "9"]
    assert json.loads(extra["input_shape"]) == [3, 16, 16]
    assert "RGB, channels first, resized to 16 x 16" in extra["preprocessing"]


def test_an_onnx_file_is_complete_valid_and_names_its_input_and_output(
    files: dict[Format, Path],
) -> None:
    model = onnx.load(files["onnx"], load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not list(files["onnx"].parent.glob("*.data"))
    session = onnxruntime.InferenceSession(files["onnx"])
    [images], [logits] = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == (
        INPUT,
        "tensor(uint8)",
        ["batch", 3, 16, 16],
    )
    assert (logits.name, logits.type, logits.shape) == (OUTPUT, "tensor(float)", ["batch", 3])


def test_an_onnx_file_contains_no_local_path(files: dict[Format, Path]) -> None:
    content = files["onnx"].read_bytes()
    assert b".py" not in content
    assert str(Path.home()).encode() + b"/" not in content


def test_a_module_without_a_graph_is_rejected_with_the_reason() -> None:
    class Branching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (
                images.float().sum((1, 2, 3))[:, None]
                if bool(images.sum() > 7)
                else images.float().mean((1, 2, 3))[:, None]
            )

    with pytest.raises(NotConvertibleError, match=r"cannot be converted to a graph \(.+\)"):
        trace(Branching(), SHAPE)


def test_an_operation_that_onnx_lacks_is_rejected_with_the_reason(tmp_path: Path) -> None:
    class Unknown(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = torch.special.bessel_j0(images.float().mean((2, 3)))
            return logits

    with pytest.raises(NotConvertibleError, match=r"cannot be converted to an ONNX file \(.+\)"):
        write_file(trace(Unknown(), SHAPE), "onnx", {}, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("calibration", "how"),
    [(IMAGES[:33], "static int8, calibrated on 33"), (None, "dynamic int8, without")],
)
def test_an_int8_file_is_smaller_and_close(
    files: dict[Format, Path],
    classifier: nn.Module,
    calibration: Images | None,
    how: str,
    tmp_path: Path,
) -> None:
    small = tmp_path / "small.onnx"
    assert quantize(files["onnx"], small, calibration, DESCRIPTION.texts()).startswith(how)
    assert small.stat().st_size < 0.6 * files["onnx"].stat().st_size
    expected = as_predictor(classifier)(IMAGES)
    for num in (1, 40):
        error = np.abs(open_file(small, "onnx")(IMAGES[:num]) - expected[:num]).max()
        assert 0 < error < 0.1 * np.abs(expected).max()
    said = metadata(small)
    assert said.pop("quantization").startswith(how)
    assert said == DESCRIPTION.texts()


def test_an_int8_file_keeps_int8_weights(files: dict[Format, Path], tmp_path: Path) -> None:
    quantize(files["onnx"], tmp_path / "small.onnx", IMAGES[:8], {})
    large: list[Any] = [
        each
        for each in onnx.load(tmp_path / "small.onnx").graph.initializer
        if np.prod(each.dims) > 1000
    ]
    assert large
    assert {each.data_type for each in large} == {onnx.TensorProto.INT8}


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_full_disk_is_a_system_error_and_does_not_kill_the_process(
    classifier: nn.Module, kind: Format
) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        write_file(trace(classifier, SHAPE), kind, DESCRIPTION.texts(), Path("/dev/full"))
