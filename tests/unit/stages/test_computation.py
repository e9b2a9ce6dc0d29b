"""A stage is a pure function: it always gives the same model, and has no side effects."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from orchestrator.config import Experiment
from orchestrator.data import Scenario
from orchestrator.stages import Model, prepare_work, stage_graph
from orchestrator.stages.computation import StageInputs, Upstream, compute_stage
from orchestrator.training.context import LearningContext
from tests.every_method import COMPARISON_METHODS, small


class Setting(NamedTuple):
    experiment: Experiment
    scenario: Scenario

    def compute(self, index: int, upstream: Upstream, seed: int = 0) -> Model:
        stage = stage_graph(self.experiment, self.scenario)[index]
        context = LearningContext(
            seed, stage.name, torch.device("cpu"), self.experiment.data.augmentation
        )
        return compute_stage(StageInputs(stage, self.experiment, self.scenario, upstream), context)


@pytest.fixture(scope="module")
def setting(tiny_experiment: Experiment) -> Setting:
    return Setting(tiny_experiment, prepare_work(tiny_experiment).scenario)


@pytest.fixture(scope="module")
def teacher(setting: Setting) -> Model:
    return setting.compute(0, Upstream(None))


def weights(model: Model) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_stage_gives_the_same_weights_whatever_was_drawn_before(
    setting: Setting, teacher: Model
) -> None:
    torch.manual_seed(123)
    torch.rand(10)
    assert equal(weights(setting.compute(0, Upstream(None))), weights(teacher))


def test_another_seed_gives_other_weights(setting: Setting, teacher: Model) -> None:
    assert not equal(weights(setting.compute(0, Upstream(None), seed=1)), weights(teacher))


def test_a_stage_leaves_torchs_generator_and_its_upstream_as_they_were(
    setting: Setting, teacher: Model
) -> None:
    state, upstream = torch.get_rng_state(), weights(teacher)
    student = setting.compute(1, Upstream(None, teacher))
    grown = setting.compute(2, Upstream(teacher))
    student_before = weights(student)
    setting.compute(3, Upstream(student, grown))
    assert torch.equal(torch.get_rng_state(), state)
    assert equal(weights(teacher), upstream)
    assert equal(weights(student), student_before)


@pytest.mark.parametrize("method", COMPARISON_METHODS)
def test_a_comparison_methods_stages_are_pure_too(setting: Setting, method: str) -> None:
    experiment = Experiment.model_validate(
        {**setting.experiment.model_dump(), "method": small(method)}
    )
    own = setting._replace(experiment=experiment)
    state = torch.get_rng_state()
    first = own.compute(0, Upstream(None))
    before = weights(first)
    second = weights(own.compute(2, Upstream(first)))
    assert equal(weights(own.compute(0, Upstream(None))), before)
    assert equal(weights(own.compute(2, Upstream(first))), second)
    assert equal(weights(first), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not equal(weights(own.compute(0, Upstream(None), seed=1)), before)
