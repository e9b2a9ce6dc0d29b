"""Search-space files are read; invalid ones are rejected with a clear message."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config import SearchSpace, load_search_space
from orchestrator.config.search_space import order_of_draws
from orchestrator.errors import ConfigError

SMALLEST = {
    "name": "small",
    "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
    "num_trials": 4,
}
UNIFORM = {"kind": "uniform", "low": 0, "high": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "space.yaml"


def load(file: Path, **changes: object) -> SearchSpace:
    file.write_text(yaml.safe_dump(SMALLEST | changes, sort_keys=False), encoding="utf-8")
    return load_search_space(file)


def message(file: Path, **changes: object) -> str:
    with pytest.raises(ConfigError) as error:
        load(file, **changes)
    assert error.value.exit_code == 2
    return str(error.value)


def distribution(**fields: object) -> dict[str, Any]:
    return {"parameters": {"student.temperature": fields}}


# --- valid files ----------------------------------------------------------------------------------


def test_omitted_fields_have_defaults(file: Path) -> None:
    space = load(file)
    assert (space.mode, space.split, space.seeds, space.constraints) == (
        "max",
        "validation",
        None,
        (),
    )
    assert (space.searcher.kind, space.trial_scheduler.kind) == ("optuna", "none")
    assert space.weights == {"student/average_incremental_accuracy": 1.0}


def test_a_weighted_metric_has_its_weights(file: Path) -> None:
    weights = {"student/last_accuracy": 1, "student/forgetting": -0.5}
    assert load(file, metric=weights).weights == {
        "student/last_accuracy": 1.0,
        "student/forgetting": -0.5,
    }


def test_a_search_space_survives_a_round_trip_through_json(file: Path) -> None:
    space = load(
        file,
        metric={"student/last_accuracy": 1, "student/forgetting": -0.5},
        parameters={
            "student.transfer": {
                "kind": "choice",
                "values": [{"kind": "fixed", "ratio": 0.5}, {"kind": "linear"}],
            },
            "student.temperature": (
                UNIFORM | {"low": 0.5, "when": {"student.transfer.kind": ["fixed", "linear"]}}
            ),
        },
        warm_start="out/earlier",
        seeds=[3, 1],
    )
    assert (
        SearchSpace.model_validate(json.loads(json.dumps(space.model_dump(mode="json")))) == space
    )
    assert space.warm_start == Path.cwd() / "out" / "earlier"


def test_a_kind_alone_is_short_for_a_mapping_with_that_kind(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text(
        "searcher: grid\ntrial_scheduler: asha\nparameters: {student.temperature: {kind: choice,"
        " values: [1, 2]}}\n"
    )
    short = load_search_space(file)
    file.write_text(
        "searcher: {kind: grid}\ntrial_scheduler: {kind: asha}\nparameters: {student.temperature:"
        " {kind: choice, values: [1, 2]}}\n"
    )
    assert short == load_search_space(file)


SEVERAL = {"student/last_accuracy": "max", "worker_seconds": "min"}


def test_the_first_of_several_metrics_is_the_single_metric_and_all_read_back(file: Path) -> None:
    space = load(
        file, metrics=SEVERAL, choose={"worker_seconds": "<= 1e3", "best": "student/last_accuracy"}
    )
    assert (space.metric, space.mode) == ("student/last_accuracy", "max")
    assert list(space.objectives.items()) == list(SEVERAL.items())
    assert (
        SearchSpace.model_validate(json.loads(json.dumps(space.model_dump(mode="json")))) == space
    )


# --- invalid files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {}}, "parameters = {}: its length should be at least 1, not 0"),
        (
            {"metrics": {"student/last_accuracy": "max"}},
            "metrics = {'student/last_accuracy': 'max'}: its length should be at least 2, not 1",
        ),
        (
            {"metrics": {"student/last_accuracy": "max", "student/num_parameter": "min"}},
            "'student/num_parameter' is not a metric that trials report; did you mean",
        ),
        (
            {"metrics": SEVERAL, "trial_scheduler": "asha"},
            "trial_scheduler.kind = asha compares trials by one number, but metrics lists 2",
        ),
        (
            {"metrics": SEVERAL, "trial_scheduler": "median"},
            "trial_scheduler.kind = median compares trials by one number",
        ),
        (
            {"metrics": SEVERAL, "trial_scheduler": "pbt"},
            "use trial_scheduler: none, or one metric",
        ),
        (
            {"metrics": SEVERAL, "metric": "student/forgetting"},
            "both metrics and metric define the objective; remove one of them",
        ),
        (
            {"choose": {"best": "student/last_accuracy"}},
            "choose selects a trial of a Pareto front, but there is only one metric",
        ),
        (
            {"metrics": SEVERAL, "choose": {"worker_seconds": "<= 9"}},
            "choose: best is missing: name the metric that decides",
        ),
        (
            {"metrics": SEVERAL, "choose": {"best": "student/forgetting"}},
            "choose: 'student/forgetting' is not one of the metrics",
        ),
        (
            {
                "metrics": SEVERAL,
                "choose": {"best": "student/last_accuracy", "worker_seconds": "9"},
            },
            "choose: worker_seconds: '9' is not of the form <=|>=|<|> number",
        ),
        (
            {"bounds": {"worker_seconds": "<= 9"}},
            "'worker_seconds' is not known before a trial is trained; choose from",
        ),
        ({"bounds": {"student/bytes": "small"}}, "'small' is not of the form <=|>=|<|> number"),
        (
            {"parameters": {"student.transfer.ratos": UNIFORM}},
            "parameters: student.transfer.ratos is not a known key; did you mean",
        ),
        (
            {"parameters": {"teachr.num_views": UNIFORM}},
            "parameters: teachr is not a known key; did you mean teacher?",
        ),
        (
            {"parameters": {"seed": UNIFORM}},
            "parameters: seed cannot vary between trials: list seeds instead",
        ),
        (
            {"parameters": {"store.uri": UNIFORM}},
            "parameters: store.uri cannot vary between trials",
        ),
        (
            distribution(kind="unifrom", low=0, high=1),
            "parameters.student.temperature.kind = 'unifrom' is not known; did you mean uniform?",
        ),
        (
            distribution(low=0, high=1),
            "parameters.student.temperature.kind is missing; choose one of uniform, log_uniform, ",
        ),
        (
            distribution(kind="uniform", low=0),
            "parameters.student.temperature.high is missing; add it",
        ),
        (
            distribution(kind="uniform", low=0, high=1, hihg=1),
            "parameters.student.temperature.hihg is not a known key; did you mean parameters.",
        ),
        (
            distribution(kind="uniform", low="x", high=1),
            "parameters.student.temperature.low = 'x': input should be a valid number",
        ),
        (
            distribution(kind="uniform", low=2, high=1),
            "parameters.student.temperature: low = 2 is not below high = 1; swap them",
        ),
        (
            distribution(kind="log_uniform", low=8, high=8),
            "parameters.student.temperature: low = 8 is not below high = 8; write a parameter",
        ),
        (
            distribution(kind="ascending", num_values=2, low=1, high=0),
            "parameters.student.temperature: low = 1 is not below high = 0",
        ),
        (
            distribution(kind="log_uniform", low=0, high=1),
            "parameters.student.temperature.low = 0: input should be greater than 0",
        ),
        (
            distribution(kind="int_uniform", low=0, high=5, log=True),
            "parameters.student.temperature: log requires low >= 1 and step = 1",
        ),
        (
            distribution(kind="quantized_uniform", low=0, high=1, step=2),
            "parameters.student.temperature: step = 2 leaves no value between",
        ),
        (
            distribution(kind="normal", mean=0, sd=1, low=5),
            "parameters.student.temperature: low = 5.0 and high = None leave no value within",
        ),
        (
            distribution(kind="normal", mean=0, sd=1, low=1, high=-1),
            "parameters.student.temperature: low = 1.0 and high = -1.0 leave no value",
        ),
        (
            distribution(kind="quantized_normal", mean=0, sd=1, low=0.1, high=0.9, step=1),
            "step = 1 has no multiple from 0.1 to 0.9",
        ),
        (distribution(kind="choice", values=[]), "parameters.student.temperature.values"),
        (
            distribution(kind="choice", values=[1, 2, 1]),
            "parameters.student.temperature.values: 1 is listed more than once",
        ),
        (
            distribution(kind="choice", values=[1, True]),
            "parameters.student.temperature.values: True is listed more than once",
        ),
        (
            distribution(kind="choice", values=[float("nan")]),
            "parameters.student.temperature.values: nan is neither",
        ),
        (
            distribution(kind="choice", values=[{1: 2}]),
            "parameters.student.temperature.values: {1: 2} has keys that are not text",
        ),
        (
            distribution(**UNIFORM, when={"student.transfr.kind": "fixed"}),
            "when: student.transfr is not a known key; did you mean",
        ),
        (
            {"metric": "student/accurracy"},
            "metric: 'student/accurracy' is not a metric that trials report; did you mean student/",
        ),
        ({"metric": {"student/forgeting": 1}}, "did you mean student/forgetting?"),
        (
            {"metric": {"student/forgetting": 0}},
            "metric: student/forgetting has the weight 0; give a finite number other than 0",
        ),
        ({"metric": {}}, "metric: {} is neither a metric name nor a mapping"),
        ({"mode": "maximum"}, "mode = 'maximum': input should be 'max' or 'min'"),
        (
            {"constraints": ["student.temperature ~ 1"]},
            "constraints: 'student.temperature ~ 1' is not of the form PATH|number <=|",
        ),
        (
            {"constraints": ["student.temprature > 1"]},
            "student.temprature is not a known key; did you mean student.temperature?",
        ),
        ({"constraints": ["1 < 2"]}, "constraints: '1 < 2': compares two numbers; name a path"),
        ({"seeds": [1, 2, 1]}, "seeds: 1 is listed more than once"),
        ({"seeds": []}, "seeds"),
        ({"num_trials": None}, "num_trials is missing: only a grid ends by itself"),
        (
            {"searcher": {"kind": "grid"}},
            "parameters.student.temperature: a grid cannot list the values of uniform; use choice",
        ),
        ({"searcher": {"kind": "tpe"}}, "searcher.kind = 'tpe' is not known; choose one of"),
        (
            {"trial_scheduler": {"kind": "asha", "grace_task": 1}},
            "trial_scheduler.grace_task is not a known key; did you mean",
        ),
    ],
)
def test_an_invalid_file_is_reported_with_file_path_and_value(
    file: Path, changes: dict[str, Any], said: str
) -> None:
    text = message(file, **changes)
    assert text.startswith(f"{file}: ")
    assert said in text
    assert "\n" not in text


def test_a_date_that_is_no_text_is_rejected(file: Path) -> None:
    file.write_text(
        "name: a\nnum_trials: 1\nparameters: {data.augmentation.noise: {kind: choice, values:"
        " [2024-01-01]}}",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="put dates in quotes"):
        load_search_space(file)


def test_all_invalid_paths_are_reported_at_once_each_with_the_file(file: Path) -> None:
    said = message(file, parameters={"sed": UNIFORM, "studnt.temperature": UNIFORM}).splitlines()
    assert [line.split(" ")[2] for line in said] == ["sed", "studnt"]
    assert all(line.startswith(f"{file}: parameters: ") for line in said)


def test_circular_conditions_are_reported_with_the_circle(file: Path) -> None:
    circle = {
        "student.temperature": UNIFORM | {"when": {"student.transfer.kind": "fixed"}},
        "student.transfer": {
            "kind": "choice",
            "values": [{"kind": "fixed"}],
            "when": {"student.temperature": 1},
        },
    }
    assert (
        "circular: student.temperature → student.transfer → student.temperature; remove one"
        in message(file, parameters=circle)
    )


def test_a_parameter_follows_its_condition_and_otherwise_the_files_order(file: Path) -> None:
    space = load(
        file,
        parameters={
            "student.transfer.ratio": UNIFORM | {"when": {"student.transfer.kind": "fixed"}},
            "student.temperature": UNIFORM,
            "student.transfer.kind": {
                "kind": "choice",
                "values": ["fixed", "linear"],
                "when": {"student.consolidation": 1},
            },
            "student.consolidation": {"kind": "choice", "values": [0.5, 1]},
        },
    )
    assert order_of_draws(space.parameters) == [
        "student.consolidation",
        "student.transfer.kind",
        "student.transfer.ratio",
        "student.temperature",
    ]
