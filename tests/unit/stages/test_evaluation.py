"""A model's evaluation: accuracies match a count by hand, also after a round trip through the
store.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orchestrator.config.backbones import SmallCnnConfig
from orchestrator.config.scenario import ScenarioConfig
from orchestrator.data import Scenario
from orchestrator.data.image_table import write_image_table
from orchestrator.data.scenario import Split
from orchestrator.data.scenario_building import build_scenario
from orchestrator.methods.method import NetworkModel
from orchestrator.models import Backbone, LinearClassifier, Network
from orchestrator.models.backbones import Body
from orchestrator.stages import Stage
from orchestrator.stages.evaluation import Evaluation, evaluate
from orchestrator.stages.store import StageStore


class FirstPixel(nn.Module):
    """Extractor with one feature, the brightness of the first pixel; its parameter only determines
    the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels[:, 0, 0, :1] * self.one


@pytest.fixture
def model() -> NetworkModel:
    """Return a model that predicts class 0 below a brightness of 0.5, and class 1 from there on."""
    classifier = LinearClassifier(
        torch.tensor([[-1.0, 1.0, 0.0, 0.0]]), torch.tensor([0.5, -0.5, -9.0, -9.0])
    )
    return NetworkModel(
        Network(
            Backbone(Body(FirstPixel(), num_features=1, num_channels=1), SmallCnnConfig()),
            nn.Identity(),
            classifier,
        ),
    )


def scenario_of(
    folder: Path, test_pixels: list[list[int]], validation_fraction: float = 0.0
) -> Scenario:
    """Return a scenario of two classes a task, with ten black training images a class and test
    images of the given brightness.
    """
    labels = [str(c) for c, pixels in enumerate(test_pixels) for _ in range(10 + len(pixels))]
    pixels = [value for of_class in test_pixels for value in [0] * 10 + of_class]
    is_test = [
        is_one for of_class in test_pixels for is_one in [False] * 10 + [True] * len(of_class)
    ]
    images = np.array(pixels, dtype=np.uint8).repeat(4).reshape(-1, 1, 2, 2)
    table = write_image_table(folder / "table.arrow", "pixels", images, labels, np.array(is_test))
    return build_scenario(
        table,
        ScenarioConfig(class_order=tuple(range(len(test_pixels)))),
        validation_fraction,
        seed=0,
    )


def stage_of(scenario: Scenario, task: int) -> Stage:
    return Stage("teacher", scenario.tasks[task], "d" * 64, ())


def test_a_row_has_the_accuracy_on_every_seen_task_and_sample_accuracy_covers_all_images(
    tmp_path: Path, model: NetworkModel
) -> None:
    # task 0: class 0 correct 2 of 3, class 1 correct 1 of 2; task 1: its 3 images cannot be correct
    scenario = scenario_of(tmp_path, [[0, 10, 255], [200, 0], [0], [0, 255]])
    evaluation = evaluate(model, stage_of(scenario, 1), scenario)
    assert evaluation.rows == {Split.TEST: [pytest.approx(3 / 5), 0.0]}
    assert evaluation.sample_accuracy == pytest.approx(3 / 8)
    assert evaluation.predictions.tolist() == [0, 0, 1, 1, 0, 0, 0, 1]
    # the extractor's one parameter, four weights and four biases
    assert evaluation.num_parameters == 9
    assert evaluation.details == {}
    assert evaluate(model, stage_of(scenario, 0), scenario).rows == {
        Split.TEST: [pytest.approx(3 / 5)]
    }


def test_validation_images_have_their_own_row_and_predictions_are_of_test_images(
    tmp_path: Path, model: NetworkModel
) -> None:
    # all training images are black: half of the validation images are of class 0
    scenario = scenario_of(tmp_path, [[255], [255]], validation_fraction=0.2)
    evaluation = evaluate(model, stage_of(scenario, 0), scenario)
    assert evaluation.rows == {Split.VALIDATION: [0.5], Split.TEST: [0.5]}
    assert evaluation.predictions.tolist() == [1, 1]


@pytest.mark.parametrize("details", [{}, {"refinement_strength": 0.25, "rounds": 3.0}])
def test_an_evaluation_survives_a_round_trip_through_the_store(
    tmp_path: Path, details: dict[str, float]
) -> None:
    saved = Evaluation(
        {Split.VALIDATION: [0.1, 1 / 3], Split.TEST: [1.0, 0.0]},
        2 / 3,
        torch.tensor([3, 0, 1]),
        7,
        details,
    )
    store = StageStore(str(tmp_path))
    store.save("e" * 64, saved.as_artifact())
    artifact = store.load("e" * 64)
    assert artifact is not None
    found = Evaluation.from_artifact(artifact)
    assert (found.rows, found.sample_accuracy, found.num_parameters, found.details) == (
        saved.rows,
        saved.sample_accuracy,
        7,
        details,
    )
    assert torch.equal(found.predictions, saved.predictions)
