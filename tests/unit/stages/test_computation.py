"""A stage is a pure function: it always gives the same model, and has no side effects."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from orchestrator.config import Experiment
from orchestrator.data import Scenario, Split
from orchestrator.models import network
from orchestrator.stages import Model, prepare_work, stage_graph
from orchestrator.stages.computation import StageInputs, Upstream, compute_stage
from orchestrator.stages.evaluation import evaluate
from orchestrator.training import loop
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


def test_a_stage_gives_the_same_weights_whatever_was_drawn_before(
    setting: Setting, teacher: Model
) -> None:
    torch.manual_seed(123)
    torch.rand(10)
    assert equal(weights(setting.compute(0, Upstream(None))), weights(teacher))


def test_another_seed_gives_other_weights(setting: Setting, teacher: Model) -> None:
    assert not equal(weights(setting.compute(0, Upstream(None), seed=1)), weights(teacher))


def test_a_stage_does_not_change_torchs_generator_or_its_upstream(
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
def test_stages_of_comparison_methods_are_pure_too(setting: Setting, method: str) -> None:
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


# --- devices --------------------------------------------------------------------------------------

# Operations that wait until a GPU has finished everything before them.
WAITS = {
    *("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"),
    *("nonzero", "masked_select", "unique", "equal", "allclose"),
}
# These masks select row numbers, which are on the CPU on every machine.
ROW_NUMBERS = {"refinement.py"}


class Waits(TorchFunctionMode):
    """Mode that records every operation that would wait for a GPU if its tensors were there."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        name = getattr(func, "__name__", str(func))
        by_mask = name == "__getitem__" and any(
            isinstance(it, Tensor) and it.dtype == torch.bool
            for it in (args[1] if isinstance(args[1], tuple) else args[1:])
        )
        if by_mask or name in WAITS:
            frame = sys._getframe(1)
            while frame.f_back and "/orchestrator/" not in frame.f_code.co_filename:
                frame = frame.f_back
            file = Path(frame.f_code.co_filename).name
            if not (by_mask and file in ROW_NUMBERS):
                self.found.append(f"{name} in {file}:{frame.f_lineno}")
        return func(*args, **(kwargs or {}))


def test_no_training_step_waits_for_the_device(
    setting: Setting, teacher: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    steps: list[str] = []
    forward = loop._Objective.forward

    def watched(objective: Any, rows: Tensor, step: loop.Step) -> Any:  # noqa: ANN401
        steps.append(objective.loss.__qualname__)
        with Waits(found):
            return forward(objective, rows, step)

    monkeypatch.setattr(loop._Objective, "forward", watched)
    grown = setting.compute(2, Upstream(setting.compute(0, Upstream(None))))
    assert set(steps) == {"pretrain_extractor.<locals>.loss", "refine.<locals>.loss"}
    assert found == []
    values = setting.experiment.model_dump()
    for kind, wait in (
        ("fixed", "__float__ in objective.py"),
        ("per_sample", "tolist in transfer.py"),
    ):
        steps.clear()
        found.clear()
        values["student"]["transfer"] = {"kind": kind}
        student = setting._replace(experiment=Experiment.model_validate(values))
        first = student.compute(1, Upstream(None, teacher))
        student.compute(3, Upstream(first, grown))
        # a transfer rule works with numbers, so that each of the student's steps waits once
        assert len(found) == steps.count("Distillation.loss") == len(steps) > 0
        assert {it.split(":")[0] for it in found} == {wait}


def test_evaluation_waits_for_the_device_once_a_batch(
    setting: Setting, teacher: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_EVALUATION_BATCH", 16)
    stage = stage_graph(setting.experiment, setting.scenario)[0]
    found: list[str] = []
    with Waits(found):
        evaluate(teacher, stage, setting.scenario)
    nums = [
        len(setting.scenario.targets_of(split, range(2)))
        for split in (Split.VALIDATION, Split.TEST)
    ]
    waits = Counter(it.split()[-1].split(":")[0] for it in found)
    # the accuracies are counted from logits, which are on the CPU by then
    assert waits.keys() == {"network.py", "classification.py"}
    assert waits["network.py"] == sum(math.ceil(num / 16) for num in nums) > len(nums)


def test_a_wait_for_the_device_is_noticed() -> None:
    found: list[str] = []
    with Waits(found):
        numbers = torch.arange(3.0)
        float(numbers.sum())
        numbers[numbers > 1].cpu()
    assert [it.split()[0] for it in found] == ["__float__", "__getitem__", "cpu"]
