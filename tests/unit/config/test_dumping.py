"""A saved experiment is complete, reads back equal, and holds no password."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.config import (
    Experiment,
    dump_experiment,
    flatten,
    load_experiment,
    values_to_keep,
)
from orchestrator.config.transfer import FixedTransferConfig

labels = st.one_of(
    st.integers(-(10**6), 10**6), st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
)
experiments = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"\A[a-zA-Z0-9_äß][a-zA-Z0-9_.äß\- ]{0,20}\Z"),
        "seed": st.integers(0, 2**63 - 1),
        "scenario": st.fixed_dictionaries(
            {
                "class_order": st.one_of(
                    st.integers(0, 2**63 - 1),
                    st.lists(labels, min_size=1, max_size=5, unique_by=str),
                )
            },
            optional={"max_images_per_class": st.one_of(st.none(), st.integers(1, 1000))},
        ),
        "method": st.sampled_from(
            [{"kind": "finetuning"}, {"kind": "joint"}, {"kind": "analytic", "ridge": 1e-7}, {}]
        ),
        "teacher": st.fixed_dictionaries(
            {},
            optional={
                "training": st.fixed_dictionaries(
                    {"learning_rate": st.floats(1e-12, 10), "epochs": st.integers(1, 500)}
                ),
                "augmentation": st.sampled_from(
                    [{"kind": "none"}, {"kind": "random", "radius": 0.3}, {"margin": 0.0}]
                ),
                "spread": st.sampled_from([{"kind": "low_rank", "rank": 3}, {"kind": "scalar"}]),
            },
        ),
        "student": st.fixed_dictionaries(
            {"temperature": st.floats(0.01, 100)},
            optional={
                "transfer": st.one_of(
                    st.floats(0, 1).map(lambda ratio: {"kind": "fixed", "ratio": ratio}),
                    st.just({"kind": "linear", "start": 0.9, "end": 0.1}),
                    st.just({"similarity": "cosine"}),
                ),
                "backbone": st.sampled_from(
                    [
                        {"kind": "torchvision", "name": "resnet18"},
                        {"kind": "timm", "name": "resnet18", "weights": True},
                        {"kind": "timm", "name": "resnet18", "weights": "a1_in1k"},
                    ]
                ),
            },
        ),
        "execution": st.sampled_from(
            [
                {"kind": "ray", "teacher": {"num_train_workers": 2}},
                {"kind": "in_process", "num_threads": 2},
            ]
        ),
    },
)


@given(experiments)
def test_a_saved_experiment_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    experiment = Experiment.model_validate(values)
    file = tmp_path_factory.getbasetemp() / "round trip.yaml"
    file.write_text(dump_experiment(experiment), encoding="utf-8")
    assert load_experiment(file) == experiment


def test_a_saved_experiment_is_complete(tmp_path: Path) -> None:
    text = dump_experiment(
        Experiment(
            student=Experiment().student.model_copy(
                update={"transfer": FixedTransferConfig(ratio=0.25)}
            )
        )
    )
    for line in (
        "seed: 0",
        "kind: digits",
        "validation_fraction: 0.1",
        "kind: fixed",
        "ratio: 0.25",
        "max_images_per_class: null",
    ):
        assert line in text


def test_a_saved_experiment_has_no_secret_and_takes_it_from_the_environment() -> None:
    values = {
        "store": {"uri": "s3://KEY:SECRET@bucket/x?region=eu&token=T"},
        "tracking": {"uri": "http://TOKEN@host"},
    }
    kept = values_to_keep(Experiment.model_validate(values))
    assert kept["store"]["uri"] == "s3://***@bucket/x?region=eu&token=***"
    assert kept["tracking"]["uri"] == "http://***@host"
    again = Experiment.model_validate(kept)
    assert again.store.uri == "s3://bucket/x?region=eu"
    assert again.tracking.uri == "http://host"


def test_a_printed_configuration_has_no_secret() -> None:
    values = {"store": {"uri": "s3://KEY:SECRET@bucket/x"}}
    assert "SECRET" not in f"{Experiment.model_validate(values)!r}"
    with pytest.raises(ValidationError) as refused:
        Experiment.model_validate({**values, "store": {"url": "s3://KEY:SECRET@bucket/x"}})
    assert "SECRET" not in str(refused.value)


def test_an_address_whose_place_was_hidden_is_rejected() -> None:
    kept = values_to_keep(Experiment.model_validate({"store": {"uri": "s3://KEY:A/B@bucket"}}))
    assert kept["store"]["uri"] == "s3://***"
    with pytest.raises(ValidationError, match="give the address again"):
        Experiment.model_validate(kept)


@given(experiments)
def test_flattened_keys_and_values_are_acceptable_to_mlflow(values: dict[str, Any]) -> None:
    flat = flatten(Experiment.model_validate(values))
    for key, value in flat.items():
        # mlflow/utils/validation.py; Windows rejects a colon, and "." or ".." as parts of a path
        assert re.fullmatch(r"[/\w.\- ]{1,250}", key)
        assert not set(key.split("/")) & {"", ".", ".."}
        assert isinstance(value, str)
        assert len(value) <= 6000


def test_flattened_parameters_are_named_by_their_dotted_path() -> None:
    flat = flatten(Experiment.model_validate({"seed": 3, "teacher": {"training": {"epochs": 7}}}))
    expected = {
        "seed": "3",
        "teacher.training.epochs": "7",
        "method.kind": "dual_teacher",
        "scenario.max_images_per_class": "None",
    }
    assert expected.items() <= flat.items()


def test_a_field_of_a_choice_can_be_excluded() -> None:
    experiment = Experiment.model_validate({"method": {"kind": "analytic", "ridge": 0.5}})
    assert experiment.model_dump(exclude={"method": {"ridge"}})["method"] == {"kind": "analytic"}
    assert experiment.model_dump(include={"method": {"ridge"}}) == {"method": {"ridge": 0.5}}
