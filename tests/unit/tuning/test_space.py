"""A search space on an experiment: every point follows the search-space language, and invalid
spaces are rejected.
"""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from orchestrator.config import Experiment, SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.dimensions import Dimension, drawn_at_random, lies_in, varied
from orchestrator.tuning.space import Draw, Space

UNIFORM = {"kind": "uniform", "low": 0, "high": 1}
KIND = {"kind": "choice", "values": ["threshold", "fixed", "linear"]}
PULL, PUSH = "teacher.joint_embedding.pull_margin", "teacher.joint_embedding.push_margin"

# Every distribution, conditions and a constraint.
EVERYTHING: dict[str, Any] = {
    "student.transfer.kind": KIND,
    "student.transfer.similarity_thresholds": {
        "kind": "ascending",
        "num_values": 2,
        "low": 0.5,
        "high": 0.999,
        "when": {"student.transfer.kind": "threshold"},
    },
    "student.transfer.ratios": {
        "kind": "falling_table",
        "num_rows": 3,
        "num_columns": 3,
        "low": 0,
        "high": 1,
        "when": {"student.transfer.kind": "threshold"},
    },
    "student.transfer.ratio": UNIFORM | {"when": {"student.transfer.kind": "fixed"}},
    "student.transfer.start": UNIFORM | {"when": {"student.transfer.kind": ["linear"]}},
    "student.transfer.end": UNIFORM | {"when": {"student.transfer.kind": ["linear"]}},
    "student.temperature": {"kind": "log_uniform", "low": 1, "high": 8},
    "student.consolidation": {"kind": "quantized_uniform", "low": 0.1, "high": 1, "step": 0.3},
    "student.anchor_weight": {"kind": "normal", "mean": 3, "sd": 2, "low": 0},
    "student.mixture_weight": {
        "kind": "quantized_normal",
        "mean": 0.5,
        "sd": 0.5,
        "step": 0.25,
        "low": 0.1,
    },
    "student.training.batch_size": {
        "kind": "quantized_log_uniform",
        "low": 8,
        "high": 256,
        "step": 8,
    },
    "teacher.num_views": {"kind": "int_uniform", "low": 1, "high": 8, "step": 3},
    "teacher.spread": {
        "kind": "choice",
        "values": [{"kind": "shared"}, {"kind": "low_rank", "rank": 4}],
    },
    PULL: {"kind": "uniform", "low": 0, "high": 1},
    PUSH: {"kind": "uniform", "low": 0.2, "high": 2},
}
CONSTRAINT = f"{PUSH} > {PULL} + 0.1"


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - draws, no secrets


def space_of(
    parameters: dict[str, Any], experiment: Experiment | None = None, **fields: object
) -> Space:
    values = {"name": "test", "parameters": parameters, "num_trials": 1, **fields}
    return Space(SearchSpace.model_validate(values), experiment or Experiment())


WHOLE = space_of(EVERYTHING, constraints=[CONSTRAINT])


def from_data(data: st.DataObject) -> Draw:
    def draw(name: str, dimension: Dimension) -> object:
        if isinstance(dimension, CategoricalDistribution):
            return data.draw(st.sampled_from(dimension.choices), name)
        if isinstance(dimension, IntDistribution):
            return dimension.low + dimension.step * data.draw(
                st.integers(0, (dimension.high - dimension.low) // dimension.step), name
            )
        if dimension.step:
            num_steps = round((dimension.high - dimension.low) / dimension.step)
            return dimension.low + dimension.step * data.draw(st.integers(0, num_steps), name)
        return data.draw(st.floats(dimension.low, dimension.high), name)

    return draw


def at_random(space: Space, number: int, seed: int = 0) -> list[Configuration]:
    chance = chance_of(seed)
    found = (
        space.configuration_of(space.draw(lambda _, dimension: drawn_at_random(dimension, chance)))
        for _ in range(number)
    )
    return [configuration for configuration in found if configuration]


def only(parameters: list[Configuration], path: str) -> list[Any]:
    return [
        configuration.parameters[path]
        for configuration in parameters
        if path in configuration.parameters
    ]


# --- every point ----------------------------------------------------------------------------------


@given(st.data())
def test_a_configuration_obeys_its_distributions(data: st.DataObject) -> None:
    configuration = WHOLE.configuration_of(WHOLE.draw(from_data(data)))
    if configuration is None:
        return
    found = configuration.parameters
    assert found[PUSH] > found[PULL] + 0.1
    assert 1 <= found["student.temperature"] <= 8
    assert found["student.consolidation"] in (0.1, 0.4, 0.7, 1.0)
    assert 0 <= found["student.anchor_weight"] <= 3 + 3.7 * 2
    assert found["student.mixture_weight"] in [0.25 * index for index in range(1, 10)]
    assert found["student.training.batch_size"] in range(8, 257, 8)
    assert found["teacher.num_views"] in (1, 4, 7)
    if found["student.transfer.kind"] == "threshold":
        lower, upper = found["student.transfer.similarity_thresholds"]
        assert 0.5 <= lower < upper <= 0.999
        table = found["student.transfer.ratios"]
        lines = [*table, *zip(*table, strict=True)]
        assert all(0 <= after <= before <= 1 for line in lines for before, after in pairwise(line))


@given(st.data())
def test_only_the_keys_of_the_drawn_kind_are_present(data: st.DataObject) -> None:
    configuration = WHOLE.configuration_of(WHOLE.draw(from_data(data)))
    if configuration is not None:
        names = {
            path.removeprefix("student.transfer.")
            for path in configuration.parameters
            if path.startswith("student.transfer.")
        }
        expected = {
            "threshold": {"similarity_thresholds", "ratios"},
            "fixed": {"ratio"},
            "linear": {"start", "end"},
        }
        assert names == {"kind"} | expected[configuration.parameters["student.transfer.kind"]]


@given(st.data())
def test_draws_restored_from_json_give_the_same_configuration(
    data: st.DataObject,
) -> None:
    configuration = WHOLE.configuration_of(WHOLE.draw(from_data(data)))
    if configuration is not None:
        draws = json.loads(json.dumps(configuration.draws))
        assert WHOLE.contains(draws)
        assert WHOLE.configuration_of(draws) == configuration
        assert json.loads(json.dumps(configuration.parameters)) == configuration.parameters


@given(st.data())
def test_a_configuration_is_a_valid_experiment_with_its_values(data: st.DataObject) -> None:
    configuration = WHOLE.configuration_of(WHOLE.draw(from_data(data)))
    if configuration is not None:
        tree = WHOLE.experiment_of(configuration.parameters, seed=5).model_dump(mode="json")
        assert tree["seed"] == 5
        for path, value in configuration.parameters.items():
            node: Any = tree
            for key in path.split("."):
                node = node[key]
            assert node == value


@given(st.data())
def test_variations_stay_in_their_dimension(data: st.DataObject) -> None:
    chance = chance_of(data.draw(st.integers(0, 2**32)))
    draws = WHOLE.draw(from_data(data))
    for name, dimension in WHOLE.dimensions(draws).items():
        assert lies_in(dimension, varied(dimension, draws[name], chance))
        assert lies_in(dimension, drawn_at_random(dimension, chance))


def test_a_rejected_point_gives_no_configuration() -> None:
    draws = {PULL: 0.5, PUSH: 0.55}
    space = space_of({PULL: EVERYTHING[PULL], PUSH: EVERYTHING[PUSH]})
    assert space.configuration_of(draws) == Configuration(draws, draws)
    constrained = space_of(
        {PULL: EVERYTHING[PULL], PUSH: EVERYTHING[PUSH]}, constraints=[CONSTRAINT]
    )
    assert constrained.configuration_of(draws) is None
    assert space.configuration_of({PULL: 0.6, PUSH: 0.55}) is None  # the experiment rejects it


def test_numbers_that_do_not_strictly_ascend_are_rejected() -> None:
    space = space_of(
        {
            "student.transfer.similarity_thresholds": (
                EVERYTHING["student.transfer.similarity_thresholds"] | {"when": {}}
            )
        }
    )
    name = "student.transfer.similarity_thresholds"
    assert space.configuration_of({f"{name}/0": 0.7, f"{name}/1": 0.7}) is None
    ordered = space.configuration_of({f"{name}/0": 0.9, f"{name}/1": 0.7})
    assert ordered == Configuration({f"{name}/0": 0.7, f"{name}/1": 0.9}, {name: [0.7, 0.9]})


def test_a_falling_table_is_its_first_cell_less_the_drops_and_never_below_low() -> None:
    name = "student.transfer.ratios"
    space = space_of({name: EVERYTHING[name] | {"when": {}, "low": 0.25}})
    drops = {
        "start": 0.875,
        "row_drop_1": 0.125,
        "row_drop_2": 0.0,
        "column_drop_1": 0.0625,
        "column_drop_2": 0.1875,
    }
    configuration = space.configuration_of(
        {f"{name}/{part}": value for part, value in drops.items()}
    )
    assert configuration is not None
    assert configuration.parameters[name] == [
        [0.875, 0.8125, 0.625],
        [0.75, 0.6875, 0.5],
        [0.75, 0.6875, 0.5],
    ]
    low = space.configuration_of(
        {f"{name}/{part}": value for part, value in (drops | {"start": 0.5}).items()}
    )
    assert low is not None
    assert low.parameters[name][2] == [0.375, 0.3125, 0.25]


def test_a_normal_distribution_has_its_mean_and_standard_deviation() -> None:
    values = only(
        at_random(
            space_of({"student.anchor_weight": {"kind": "normal", "mean": 10, "sd": 2}}), 500
        ),
        "student.anchor_weight",
    )
    assert fmean(values) == pytest.approx(10, abs=0.3)
    assert stdev(values) == pytest.approx(2, abs=0.2)


def test_half_of_a_logarithmic_range_lies_below_its_geometric_mean() -> None:
    values = only(at_random(WHOLE, 500), "student.temperature")
    assert fmean(value < 8**0.5 for value in values) == pytest.approx(0.5, abs=0.07)


# --- conditions -----------------------------------------------------------------------------------


def test_a_condition_may_refer_to_the_experiment() -> None:
    parameters = {
        "student.temperature": UNIFORM | {"low": 0.5, "when": {"student.transfer.kind": "fixed"}}
    }
    fixed = Experiment.model_validate({"student": {"transfer": {"kind": "fixed"}}})
    assert space_of(parameters, fixed).draw(lambda *_: 0.75) == {"student.temperature": 0.75}
    assert space_of(parameters).draw(lambda *_: 0.75) == {}


def test_a_condition_may_refer_to_a_key_inside_a_varying_mapping() -> None:
    transfers = [{"kind": "linear"}, {"kind": "fixed", "ratio": 0.5}]
    space = space_of(
        {
            "student.transfer.ratio": UNIFORM | {"when": {"student.transfer.kind": "fixed"}},
            "student.transfer": {"kind": "choice", "values": transfers},
        }
    )
    found = at_random(space, 20)
    assert {tuple(configuration.parameters) for configuration in found} == {
        ("student.transfer",),
        ("student.transfer.ratio", "student.transfer"),
    }
    with_ratio = next(
        configuration for configuration in found if len(configuration.parameters) == 2
    )
    assert (
        space.experiment_of(with_ratio.parameters).student.transfer.model_dump()["ratio"]
        == with_ratio.parameters["student.transfer.ratio"]
    )


def test_an_absent_parameter_meets_no_condition() -> None:
    space = space_of(
        {
            "teacher.num_views": {
                "kind": "choice",
                "values": [1],
                "when": {"student.transfer.kind": "fixed"},
            },
            "student.temperature": {
                "kind": "choice",
                "values": [3],
                "when": {"teacher.num_views": [1, 8]},
            },
        }
    )
    assert at_random(space, 1)[0].parameters == {}


def test_a_constraint_on_fields_that_the_variant_lacks_is_ignored() -> None:
    space = space_of(
        {
            "student.transfer.kind": KIND,
            "student.transfer.ratio": EVERYTHING["student.transfer.ratio"],
        },
        constraints=["student.transfer.ratio > 0.5"],
    )
    assert space.configuration_of({"student.transfer.kind": "linear"}) is not None
    assert (
        space.configuration_of({"student.transfer.kind": "fixed", "student.transfer.ratio": 0.25})
        is None
    )


# --- changed spaces -------------------------------------------------------------------------------


def test_a_wider_space_contains_earlier_draws() -> None:
    narrow = {
        **EVERYTHING,
        "student.temperature": {"kind": "log_uniform", "low": 2, "high": 4},
        "student.transfer.kind": KIND | {"values": ["fixed"]},
    }
    narrow = {
        path: value
        for path, value in narrow.items()
        if path.split(".")[-1] not in {"similarity_thresholds", "ratios", "start", "end"}
    }
    found = at_random(space_of(narrow), 20)
    assert found
    assert all(WHOLE.contains(configuration.draws) for configuration in found)


@pytest.mark.parametrize(
    ("draws", "why"),
    [
        ({"student.temperature": 9.0, "student.transfer.kind": "linear"}, "out of range"),
        ({"student.temperature": 2.0, "student.transfer.kind": "cosine"}, "no such choice"),
        ({"student.temperature": "2", "student.transfer.kind": "linear"}, "text"),
        ({"student.temperature": True, "student.transfer.kind": "linear"}, "true is no number"),
        ({"student.transfer.kind": "linear"}, "a dimension is missing"),
        (
            {"student.temperature": 2.0, "student.transfer.kind": "linear", "seed": 1},
            "a dimension too many",
        ),
        (
            {
                "student.temperature": 2.0,
                "student.transfer.kind": "linear",
                "student.transfer.ratio": 0.5,
            },
            "not active",
        ),
        ({"student.temperature": 2.0, "student.transfer.kind": "fixed"}, "active and missing"),
    ],
)
def test_draws_outside_the_space_are_not_contained(draws: dict[str, Any], why: str) -> None:
    space = space_of(
        {
            name: EVERYTHING[name]
            for name in ("student.temperature", "student.transfer.kind", "student.transfer.ratio")
        }
    )
    assert space.contains({"student.temperature": 2.0, "student.transfer.kind": "linear"})
    assert not space.contains(draws), why


def test_values_between_two_steps_are_not_contained() -> None:
    space = space_of(
        {name: EVERYTHING[name] for name in ("student.consolidation", "teacher.num_views")}
    )
    assert space.contains({"student.consolidation": 0.7, "teacher.num_views": 4})
    assert not space.contains({"student.consolidation": 0.6, "teacher.num_views": 4})
    assert not space.contains({"student.consolidation": 0.7, "teacher.num_views": 3})


# --- grids ----------------------------------------------------------------------------------------


def grid(parameters: dict[str, Any], constraints: Sequence[str] = ()) -> list[dict[str, Any]]:
    return [
        point.parameters
        for point in space_of(parameters, searcher={"kind": "grid"}, constraints=constraints).grid()
    ]


def test_a_grid_is_every_combination_and_the_last_parameter_varies_fastest() -> None:
    parameters = {
        "teacher.num_views": {"kind": "int_uniform", "low": 1, "high": 8, "step": 3},
        "student.consolidation": {
            "kind": "quantized_uniform",
            "low": 0.1,
            "high": 0.5,
            "step": 0.2,
        },
    }
    expected = [(views, share) for views in (1, 4, 7) for share in (0.1, 0.3, 0.5)]
    assert [tuple(point.values()) for point in grid(parameters)] == expected


def test_a_grid_has_conditional_parameters_only_where_they_apply() -> None:
    ratios = {"kind": "choice", "values": [0.25, 0.75], "when": {"student.transfer.kind": "fixed"}}
    assert grid(
        {
            "student.transfer.ratio": ratios,
            "student.transfer.kind": {"kind": "choice", "values": ["linear", "fixed"]},
        }
    ) == [
        {"student.transfer.kind": "linear"},
        {"student.transfer.ratio": 0.25, "student.transfer.kind": "fixed"},
        {"student.transfer.ratio": 0.75, "student.transfer.kind": "fixed"},
    ]


def test_a_grid_skips_rejected_points_and_reports_an_empty_grid() -> None:
    margins = {
        PULL: {"kind": "choice", "values": [0.5, 1.0]},
        PUSH: {"kind": "choice", "values": [0.75, 1.5]},
    }
    assert [tuple(point.values()) for point in grid(margins, constraints=[CONSTRAINT])] == [
        (0.5, 0.75),
        (0.5, 1.5),
        (1.0, 1.5),
    ]
    with pytest.raises(
        ConfigError,
        match=(
            r"every combination was rejected, the last because:"
            r" .*push_margin > 9 does not hold with"
        ),
    ):
        grid(margins, constraints=[f"{PUSH} > 9"])


# --- spaces that do not fit the experiment --------------------------------------------------------


def test_a_validation_metric_needs_validation_images() -> None:
    experiment = Experiment.model_validate({"data": {"validation_fraction": 0}})
    with pytest.raises(
        ConfigError,
        match=r"search space test: .*data\.validation_fraction = 0 sets none aside; raise the",
    ):
        space_of({"student.temperature": EVERYTHING["student.temperature"]}, experiment)
    on_test = space_of(
        {"student.temperature": EVERYTHING["student.temperature"]}, experiment, split="test"
    )
    assert on_test.contains({"student.temperature": 2.0})


def test_a_parameter_of_a_variant_that_the_experiment_lacks_is_rejected_with_both() -> None:
    with pytest.raises(ConfigError) as error:
        space_of({"student.transfer.ratio": UNIFORM})
    assert (
        str(error.value) == "search space test: parameters.student.transfer.ratio exists only with"
        " student.transfer.kind = fixed, but the kind is threshold; change the kind in the"
        " experiment, or let it vary too"
    )


def test_a_parameter_of_one_variant_needs_a_condition_when_the_variant_varies() -> None:
    with pytest.raises(
        ConfigError, match=r"can be linear; add when: \{student\.transfer\.kind: \[fixed\]\}"
    ):
        space_of({"student.transfer.kind": KIND, "student.transfer.ratio": UNIFORM})
    always_fixed = space_of(
        {
            "student.transfer.kind": {"kind": "choice", "values": ["fixed"]},
            "student.transfer.ratio": UNIFORM,
        }
    )
    assert always_fixed.contains({"student.transfer.kind": "fixed", "student.transfer.ratio": 0.5})


def test_a_condition_applies_transitively() -> None:
    space = space_of(
        {
            "student.transfer.kind": KIND,
            "student.temperature": {
                "kind": "choice",
                "values": [2, 4],
                "when": {"student.transfer.kind": "fixed"},
            },
            "student.transfer.ratio": UNIFORM | {"when": {"student.temperature": 2}},
        }
    )
    assert space.contains(
        {"student.transfer.kind": "fixed", "student.temperature": 2, "student.transfer.ratio": 0.5}
    )
    assert space.contains({"student.transfer.kind": "linear"})


def test_a_constraint_compares_numbers() -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"a constraint compares teacher\.self_supervision = 'rotation',"
            r" which is not a number"
        ),
    ):
        space_of(
            {"student.temperature": EVERYTHING["student.temperature"]},
            constraints=["teacher.self_supervision > 1"],
        )


def test_an_accepted_point_is_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of({"student.temperature": {"kind": "uniform", "low": 1, "high": 8}})
    validated, validate = [], space.experiment_of

    def experiment_of(parameters: Any) -> Experiment:  # noqa: ANN401 - a configuration's
        validated.append(parameters)
        return validate(parameters)

    monkeypatch.setattr(space, "experiment_of", experiment_of)
    draws = {"student.temperature": 2.0}
    assert space.configuration_of(draws) == space.configuration_of(draws) is not None
    assert validated == [{"student.temperature": 2.0}]
