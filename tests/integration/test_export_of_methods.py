"""Networks of the comparison methods as files of both formats, compared with their own outputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orchestrator.config import Experiment
from orchestrator.data.scenario import Split
from orchestrator.export.formats import Format, open_file, write_file
from orchestrator.export.program import trace
from orchestrator.models import AnyNetwork
from orchestrator.models.network import predict
from orchestrator.stages import StageRunner, prepare_work
from tests.every_method import COMPARISON_METHODS, small

CPU = torch.device("cpu")


class LogitsOf(nn.Module):
    """Network as users need it: images in, logits out."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


@pytest.mark.slow
@pytest.mark.parametrize("method", COMPARISON_METHODS)
def test_the_network_of_every_comparison_method_is_exported_in_both_formats(
    method: str, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    work = prepare_work(
        Experiment.model_validate({**tiny_experiment.model_dump(), "method": small(method)})
    )
    students = [stage for stage in work.stages if stage.role == "student"]
    runner = StageRunner(work, CPU, lambda _: None)
    for stage in students:
        runner.obtain(stage)
    model = work.model_from(work.artifact_of(students[-1]), students[-1], CPU)
    program = trace(LogitsOf(model.network).eval(), work.scenario.shape)
    images = work.scenario.images_of(Split.TEST, range(6)).images
    expected = predict(model.network, images).numpy()
    formats: tuple[Format, ...] = ("onnx", "pt2")
    for kind in formats:
        write_file(program, kind, {}, tmp_path / kind)
        found = open_file(tmp_path / kind, kind)(images.numpy())
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
