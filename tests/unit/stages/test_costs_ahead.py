"""The cost of networks is predicted before training and equals that of trained ones."""

import itertools
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.config import Experiment
from orchestrator.config.base import Config
from orchestrator.config.methods import (
    AnalyticConfig,
    FeCamConfig,
    FinetuningConfig,
    JointConfig,
    LwfConfig,
    NearestClassMeanConfig,
    RanPacConfig,
)
from orchestrator.config.objective import COSTS
from orchestrator.config.overrides import with_values
from orchestrator.config.roles import ROLES
from orchestrator.data import Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.errors import ConfigError
from orchestrator.methods.heads import ForeseesNetwork, HeadInputs
from orchestrator.methods.method import method_of
from orchestrator.models import Network, build_backbone
from orchestrator.models.network_costs import costs_of, machine_name
from orchestrator.stages import Preparation, StageStore, costs_ahead
from orchestrator.stages.costs_ahead import CostsAhead, untrained_network
from orchestrator.stages.retention import newest_keys
from tests.unit.methods.few_digits import CLASSES, experiment_with, learn

METHODS: list[Config] = [
    FinetuningConfig(),
    LwfConfig(),
    JointConfig(),
    NearestClassMeanConfig(),
    AnalyticConfig(),
    RanPacConfig(num_projections=40),
    FeCamConfig(),
]
INHERITED = {
    "student.backbone.kind": "inherited",
    "student.backbone.until": "stage1",
    "teacher.backbone.kind": "resnet20",
}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.kind)
def test_a_trained_network_has_the_predicted_size(method: Config) -> None:
    labels = torch.arange(CLASSES).repeat_interleave(4)
    size = (len(labels), 1, 8, 8)
    noise = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(0))
    images = LabeledImages(noise.to(torch.uint8), labels)
    experiment = experiment_with(method, epochs=1)
    learned = learn(experiment, {Split.TRAIN: images})[-1].network
    extractors = {
        role: build_backbone(experiment.backbone_of(role), (1, 8, 8)).eval() for role in ROLES
    }
    chosen = method_of(experiment)
    assert isinstance(chosen, ForeseesNetwork)
    head = chosen.untrained_head(HeadInputs("teacher", experiment, extractors, CLASSES))
    foreseen = Network(extractors["teacher"], *head)
    assert foreseen.num_parameters() == learned.num_parameters()
    image = images.images[:1]
    assert costs_of(foreseen, image) == costs_of(learned, image)


@pytest.mark.parametrize(
    "changes",
    [{}, {"student.classifier": "taught"}, INHERITED, {"method.kind": "fecam"}],
    ids=["own layers", "taught", "inherited", "matrices"],
)
def test_multiply_adds_are_half_the_operations_that_torch_counts(
    tiny_experiment: Experiment, changes: dict[str, object]
) -> None:
    experiment = with_values(tiny_experiment, changes)
    preparation = Preparation()
    scenario = preparation.scenario_of(experiment)
    for role in ROLES:
        [found] = CostsAhead(preparation).of(experiment, [f"{role}/multiply_adds"]).values()
        network = untrained_network(role, experiment, scenario)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, *scenario.shape, dtype=torch.uint8))
        assert 2 * found == counter.get_total_flops()


def test_a_latency_is_measured_once_per_architecture_and_kept_in_the_store(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = with_values(tiny_experiment, {"store.uri": str(tmp_path)})
    measured = itertools.count(1)
    monkeypatch.setattr(costs_ahead, "latency_ms", lambda *_: float(next(measured)))
    names = ["student/latency_ms"]
    slower = with_values(experiment, {"teacher.training.learning_rate": 0.5})
    deeper = with_values(experiment, {"student.backbone.kind": "resnet20"})
    assert CostsAhead(Preparation()).of(experiment, names) == {"student/latency_ms": 1.0}
    assert CostsAhead(Preparation()).of(slower, names) == {"student/latency_ms": 1.0}
    assert CostsAhead(Preparation()).of(deeper, names) == {"student/latency_ms": 2.0}
    store = StageStore(str(tmp_path))
    found = [store.values_of(key) for key in newest_keys(store, 9)]
    assert {values["machine"] for values in found if values} == {machine_name()}


def test_costs_are_given_for_both_roles_and_bytes_are_those_of_single_precision(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment = with_values(tiny_experiment, {"store.uri": str(tmp_path)})
    costs = CostsAhead(Preparation()).of(experiment, COSTS)
    assert costs.keys() == set(COSTS)
    assert all(value > 0 for value in costs.values())
    for role in ROLES:
        counters = costs[f"{role}/bytes"] - 4 * costs[f"{role}/num_parameters"]
        assert 0 <= counters < 100  # batch normalisation counts its batches in eight bytes


def test_a_method_that_predicts_no_network_is_rejected(
    tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs_ahead, "method_of", lambda _: object())
    with pytest.raises(ConfigError, match="does not say how large"):
        CostsAhead(Preparation()).of(tiny_experiment, ["student/bytes"])
