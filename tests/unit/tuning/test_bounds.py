"""Bounds on costs that are known before training reject a configuration before it costs
anything.
"""

from collections.abc import Collection
from typing import Any

import pytest

from orchestrator.config import Experiment, SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.space import Space

SIZE = "student/num_parameters"
BACKBONES = {"student.backbone.kind": {"kind": "choice", "values": ["small_cnn", "small_cnn_tiny"]}}


def costs(experiment: Experiment, names: Collection[str]) -> dict[str, float]:
    sizes = {"small_cnn": 1000.0, "small_cnn_tiny": 100.0}
    return dict.fromkeys(names, sizes[experiment.student.backbone.kind])


def space_of(costs_of: Any = costs, **fields: object) -> Space:  # noqa: ANN401 - a double, or None
    values = {"parameters": BACKBONES, "searcher": "grid", **fields}
    return Space(SearchSpace.model_validate(values), Experiment(), costs_of)


def kinds(space: Space) -> list[str]:
    return [point.parameters["student.backbone.kind"] for point in space.grid()]


@pytest.mark.parametrize(
    ("bound", "expected"),
    [("<= 100", ["small_cnn_tiny"]), ("> 100", ["small_cnn"]), ("< 1_001", [*"ab"])],
)
def test_a_grid_skips_configurations_out_of_bounds(bound: str, expected: list[str]) -> None:
    assert len(kinds(space_of(bounds={SIZE: bound}))) == len(expected)
    if len(expected) == 1:
        assert kinds(space_of(bounds={SIZE: bound})) == expected


def test_a_search_redraws_a_configuration_out_of_bounds() -> None:
    sampler = Sampler(space_of(bounds={SIZE: "<= 100"}, searcher="random", num_trials=9))
    asked = sampler.ask()
    assert asked is not None
    assert asked.parameters == {"student.backbone.kind": "small_cnn_tiny"}


def test_if_no_configuration_is_within_bounds_the_message_says_which_bound_and_by_how_much() -> (
    None
):
    with pytest.raises(
        ConfigError, match=r"bounds: student/num_parameters <= 99 does not hold, it"
    ):
        kinds(space_of(bounds={SIZE: "<= 99"}))


def test_history_outside_a_new_bound_still_informs_the_search() -> None:
    free = space_of(searcher="random", num_trials=9)
    history = [(point, 0.5) for point in space_of().grid()]
    bounded = space_of(bounds={SIZE: "<= 100"}, searcher="random", num_trials=9)
    assert len(Sampler(bounded, history)._study.get_trials()) == 2
    assert len(Sampler(free, history)._study.get_trials()) == 2


def test_a_backbone_that_cannot_be_built_is_rejected_if_its_size_is_needed() -> None:
    def broken(experiment: Experiment, names: Collection[str]) -> dict[str, float]:
        if experiment.student.backbone.kind == "small_cnn":
            raise ConfigError("the backbone has no stage9", "student.backbone.until")
        return costs(experiment, names)

    metrics = {"student/last_accuracy": "max", SIZE: "min"}
    space = space_of(broken, metrics=metrics)
    assert kinds(space) == ["small_cnn_tiny"]
    assert space.known_of({"student.backbone.kind": "small_cnn_tiny"}) == {SIZE: 100.0}


def test_costs_come_from_the_networks_and_only_if_they_are_needed(
    tiny_experiment: Experiment,
) -> None:
    values = {"parameters": BACKBONES, "searcher": "grid", "bounds": {SIZE: "<= 50_000"}}
    space = Space(SearchSpace.model_validate(values), tiny_experiment)
    assert kinds(space) == ["small_cnn_tiny"]
    assert space.known_of({}) == {}
