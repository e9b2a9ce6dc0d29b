"""Values set by dotted path, from the command line and from a trial."""

from pathlib import Path

import pytest
import yaml

from orchestrator.config import Experiment, with_values
from orchestrator.errors import ConfigError
from tests.unit.config.experiment_files import load, message, value_at

# --- overrides of the command line ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("seed=7", "seed", 7),
        ("teacher.training.epochs=3", "teacher.training.epochs", 3),
        ("teacher.training.learning_rate=5e-3", "teacher.training.learning_rate", 0.005),
        ("data.augmentation.horizontal_flip=true", "data.augmentation.horizontal_flip", True),
        ("scenario.max_images_per_class=10", "scenario.max_images_per_class", 10),
        ("scenario.max_images_per_class=null", "scenario.max_images_per_class", None),
        ("scenario.max_images_per_class=", "scenario.max_images_per_class", None),
        ("scenario.class_order=[3, 1, 2]", "scenario.class_order", (3, 1, 2)),
        ("scenario.class_order=['01', b]", "scenario.class_order", ("01", "b")),
        ("student.transfer.ratios=[[1,1],[0.5,0]]", "student.transfer.ratios", ((1, 1), (0.5, 0))),
        ("tracking.uri=http://host:5000/?a=b", "tracking.uri", "http://host:5000/?a=b"),
        ("name=a run", "name", "a run"),
        ("name='7'", "name", "7"),
        ("teacher.augmentation={kind: random, radius: 2}", "teacher.augmentation.radius", 2.0),
        (" teacher.num_views =0", "teacher.num_views", 0),
    ],
)
def test_an_override_sets_any_value(file: Path, override: str, path: str, expected: object) -> None:
    table = "{similarity_thresholds: [0.5], progress_thresholds: [0.5], ratios: [[1, 1], [1, 1]]}"
    text = f"scenario: {{max_images_per_class: 5}}\nstudent: {{transfer: {table}}}"
    assert value_at(load(file, text, override), path) == expected


def test_an_override_creates_keys_that_the_file_omits_or_leaves_empty(file: Path) -> None:
    assert load(file, "teacher:\n", "teacher.training.epochs=3").teacher.training.epochs == 3


def test_the_last_override_of_a_key_wins(file: Path) -> None:
    assert load(file, "seed: 1", "seed=2", "seed=3").seed == 3


def test_an_override_does_not_change_neighbouring_keys(file: Path) -> None:
    training = load(
        file, "teacher: {training: {epochs: 7}}", "teacher.training.batch_size=8"
    ).teacher.training
    assert (training.epochs, training.batch_size) == (7, 8)


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=1", ".seed=1", "seed.=1"])
def test_a_malformed_override_is_rejected_with_an_example(file: Path, override: str) -> None:
    assert f"--set {override}: is not of the form a.b=value; for example --set " in message(
        file, "", override
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "teacher.trainng.epochs=1",
            "teacher.trainng is not a known key; did you mean teacher.training?",
        ),
        (
            "teacher.training.epoch=1",
            "teacher.training.epoch is not a known key; did you mean teacher.training.epochs?",
        ),
        ("sed=1", "sed is not a known key; did you mean seed?"),
        ("seed=x", "seed = 'x': input should be a valid integer"),
        ("seed.deeper=1", "seed = {'deeper': 1}: input should be a valid integer"),
        ("seed={", "the value '{' is not valid YAML"),
    ],
)
def test_an_invalid_override_is_named_in_the_message(file: Path, override: str, said: str) -> None:
    text = message(file, "", override)
    assert f"--set {override}" in text
    assert said in text


@pytest.mark.parametrize("value", ["[1]", "{a: 1}", "3", "null"])
def test_a_kind_that_is_no_text_is_rejected(file: Path, value: str) -> None:
    assert "method.kind" in message(file, "", f"method.kind={value}")


def test_choosing_another_kind_drops_the_files_keys_of_the_old_kind(file: Path) -> None:
    text = "teacher: {augmentation: {kind: adaptive, margin: 0.3, num_vectors: 5, radius: 2.0}}"
    chosen = load(file, text, "teacher.augmentation.kind=random").teacher.augmentation
    assert chosen.model_dump() == {"kind": "random", "num_vectors": 5, "radius": 2.0}


def test_choosing_a_kind_other_than_the_default_drops_the_defaults_keys_too(file: Path) -> None:
    assert (
        load(
            file, "teacher: {augmentation: {margin: 0.3}}", "teacher.augmentation.kind=none"
        ).teacher.augmentation.kind
        == "none"
    )


def test_choosing_the_same_kind_keeps_the_files_keys(file: Path) -> None:
    text = "teacher: {augmentation: {kind: adaptive, margin: 0.3}}"
    assert (
        load(file, text, "teacher.augmentation.kind=adaptive").teacher.augmentation.model_dump()[
            "margin"
        ]
        == 0.3
    )


def test_a_key_of_the_old_kind_set_after_the_new_kind_is_an_error(file: Path) -> None:
    said = message(file, "", "teacher.augmentation.kind=random", "teacher.augmentation.margin=0.3")
    assert "teacher.augmentation.margin is not a known key" in said


def test_reading_does_not_change_the_file(file: Path) -> None:
    text = "method: {kind: analytic, ridge: 1.0}\n"
    load(file, text, "method.kind=finetuning")
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(text)


# --- values of a trial ----------------------------------------------------------------------------


def test_the_order_of_values_does_not_matter_and_the_base_is_unchanged() -> None:
    base = {"teacher": {"augmentation": {"kind": "adaptive", "margin": 0.3, "radius": 2.0}}}
    values = {
        "teacher.augmentation.num_vectors": 5,
        "teacher.augmentation.kind": "random",
        "seed": 7,
    }
    experiment = with_values(base, values)
    assert experiment.teacher.augmentation.model_dump() == {
        "kind": "random",
        "num_vectors": 5,
        "radius": 2.0,
    }
    assert experiment.seed == 7
    assert base == {"teacher": {"augmentation": {"kind": "adaptive", "margin": 0.3, "radius": 2.0}}}


def test_values_are_set_in_an_experiment() -> None:
    experiment = with_values(
        Experiment(seed=3), {"student.transfer.ratio": 0.25, "student.transfer.kind": "fixed"}
    )
    assert experiment.student.transfer.model_dump() == {
        "kind": "fixed",
        "similarity": "jensen_shannon",
        "ratio": 0.25,
    }
    assert experiment.seed == 3
    assert with_values(experiment, {}) == experiment


def test_a_whole_mapping_is_set_before_values_inside_it() -> None:
    experiment = with_values(
        {}, {"student.transfer.ratio": 0.25, "student.transfer": {"kind": "fixed", "ratio": 0.5}}
    )
    assert experiment.student.transfer.model_dump()["ratio"] == 0.25


def test_an_invalid_value_or_path_is_reported_without_a_file() -> None:
    with pytest.raises(ConfigError) as error:
        with_values({}, {"student.temperature": -1})
    assert str(error.value).startswith("student.temperature = -1: input should be greater than 0")
    with pytest.raises(ConfigError, match=r"^studnt is not a known key; did you mean student\?$"):
        with_values({}, {"studnt.temperature": 1})


def test_user_defined_keys_are_not_unknown_keys() -> None:
    lane = with_values(
        {}, {"execution.teacher.custom_resources_per_worker.tpu": 2}
    ).execution.model_dump()["teacher"]
    assert lane["custom_resources_per_worker"] == {"tpu": 2.0}
