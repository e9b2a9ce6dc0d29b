"""The example's own tests: `pytest examples/plugin/tests`, with the package installed."""

import torch
from orchestrator_example.nearest_median import NEAREST_MEDIAN, centre
from orchestrator_example.wide_cnn import WideCnnConfig

from orchestrator.config import Experiment
from orchestrator.methods.method import method_of
from orchestrator.methods.views import ClassFeatures
from orchestrator.models.backbones import build_backbone


def test_the_kind_is_found_by_its_entry_point() -> None:
    experiment = Experiment.model_validate({"method": {"kind": "nearest_median", "trust": 0.5}})
    assert method_of(experiment) is NEAREST_MEDIAN


def test_one_odd_image_does_not_move_the_centre() -> None:
    features = torch.tensor([[1.0], [1.0], [1.0], [100.0]])
    of_class = ClassFeatures(features, features.new_zeros(0, 4, 1))
    assert centre(of_class, trust=1.0).tolist() == [1.0]


def test_the_backbone_has_four_features_a_channel() -> None:
    extractor = build_backbone(WideCnnConfig(kind="wide_cnn", width=8), (1, 8, 8))
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    assert extractor(images).shape == (3, extractor.num_features) == (3, 32)
