"""Reading experiment files: what is wrong is said with file, key path and the nearest right
thing.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config import Experiment, load_experiment
from orchestrator.config.data import TorchvisionDataConfig
from orchestrator.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "experiment.yaml"


def load(file: Path, text: str, *overrides: str) -> Experiment:
    file.write_text(text, encoding="utf-8")
    return load_experiment(file, overrides)


def message(file: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(file, text, *overrides)
    assert error.value.exit_code == 2
    return str(error.value)


def value_at(experiment: Experiment, path: str) -> Any:  # noqa: ANN401 - whatever stands there
    node: Any = experiment
    for key in path.split("."):
        node = getattr(node, key)
    return node


# --- files ----------------------------------------------------------------------------------------


def test_an_empty_file_means_every_default(file: Path) -> None:
    assert load(file, "") == Experiment()
    assert load(file, "# nothing but a comment\n") == Experiment()


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    (tmp_path / "cifar.yml").touch()
    with pytest.raises(ConfigError) as error:
        load_experiment(tmp_path / "digit.yaml")
    assert (
        str(error.value)
        == f"{tmp_path}/digit.yaml: no such file; did you mean {tmp_path}/digits.yaml?"
    )


def test_a_missing_file_with_nothing_near_says_to_check_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/x\.yaml: no such file; check the path"):
        load_experiment(tmp_path / "nowhere" / "x.yaml")


def test_what_is_no_text_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    for path in (tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(ConfigError, match="cannot be read") as error:
            load_experiment(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: a\nseed: [1", 2),
        ("name: a\n\tseed: 1", 2),
        ("name: a\nseed: 1\nname: b", 3),
        ("teacher:\n  num_views: 1\n  spread: {kind: scalar}\n  num_views: 2", 4),
        ("a: *unknown", 1),
        ("!!python/object:os.system x", 1),
    ],
    ids=["unclosed list", "tab", "key twice", "nested key twice", "unknown alias", "python object"],
)
def test_invalid_yaml_is_said_with_file_and_line(file: Path, text: str, line: int) -> None:
    assert message(file, text).startswith(f"{file}: is not valid YAML: line {line}, ")


@pytest.mark.parametrize("value", ["2024-13-45", "0b_", "[" * 3000])
def test_a_value_that_yaml_cannot_read_is_said(file: Path, value: str) -> None:
    assert message(file, f"name: {value}").startswith(f"{file}: is not valid YAML: ")
    file.write_text("name: good")
    with pytest.raises(ConfigError, match="is not valid YAML; quote it"):
        load_experiment(file, [f"name={value}"])


def test_a_key_that_stands_twice_is_named(file: Path) -> None:
    assert "the key 'epochs' stands twice" in message(
        file, "teacher: {training: {epochs: 1, epochs: 2}}"
    )


def test_a_file_that_holds_no_mapping_is_said(file: Path) -> None:
    assert "holds a list, not a mapping" in message(file, "- name: digits")


# --- keys and values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unknown", "nearest"),
    [
        ("sed: 1", "sed", "seed"),
        ("teacher: {trainng: {}}", "teacher.trainng", "teacher.training"),
        ("teacher: {training: {epoch: 1}}", "teacher.training.epoch", "teacher.training.epochs"),
        (
            "teacher: {augmentation: {kind: random, raduis: 2}}",
            "teacher.augmentation.raduis",
            "teacher.augmentation.radius",
        ),
        (
            "teacher: {augmentation: {raduis: 2}}",
            "teacher.augmentation.raduis",
            "teacher.augmentation.radius",
        ),
        (
            "data: {kind: parquet, train: a, test: b, imagesize: 8}",
            "data.imagesize",
            "data.image_size",
        ),
    ],
)
def test_an_unknown_key_is_named_with_file_and_path_and_the_nearest_is_suggested(
    file: Path, text: str, unknown: str, nearest: str
) -> None:
    assert message(file, text) == f"{file}: {unknown} is not a known key; did you mean {nearest}?"


def test_an_unknown_key_with_nothing_near_lists_what_is_known(file: Path) -> None:
    assert (
        message(file, "execution: {kind: in_process, qqq: 1}")
        == f"{file}: execution.qqq is not a known key; known here: kind, num_threads, device"
    )


def test_a_key_of_another_variant_is_unknown(file: Path) -> None:
    assert "teacher.augmentation.margin is not a known key" in message(
        file, "teacher: {augmentation: {kind: random, margin: 0.1}}"
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("seed: one", "seed = 'one': input should be a valid integer"),
        ("seed: -1", "seed = -1: input should be greater than or equal to 0"),
        (
            "teacher: {training: {epochs: many}}",
            "teacher.training.epochs = 'many': input should be a valid integer",
        ),
        (
            "teacher: {training: {learning_rate: .inf}}",
            "teacher.training.learning_rate = inf: input should be a finite number",
        ),
        (
            "student: {temperature: .nan}",
            "student.temperature = nan: input should be a finite number",
        ),
        (
            "student: {transfer: {kind: fixed, ratio: 1.5}}",
            "student.transfer.ratio = 1.5: input should be less than or equal to 1",
        ),
        (
            "teacher: {self_supervision: jigsaw}",
            "teacher.self_supervision = 'jigsaw': input should be 'rotation' or 'none'",
        ),
        ("teacher: 3", "teacher = 3: should be a mapping"),
        ("method: finetuning", "method = 'finetuning': input should be a valid dictionary"),
        ("name: ''", "name = '': string should match pattern"),
        ("data: {kind: parquet, test: a}", "data.train is missing; add it"),
        (
            "data: {validation_fraction: 1.0}",
            "data.validation_fraction = 1.0: input should be less than 1",
        ),
        (
            "student: {backbone: {kind: resnet20, pooled_sizes: [4, 2, 2, 1]}}",
            "student.backbone.pooled_sizes = [4, 2, 2, 1]: its length should be at most 3, not 4",
        ),
        (
            "student: {backbone: {kind: resnet20, pooled_sizes: []}}",
            "student.backbone.pooled_sizes = []: its length should be at least 1",
        ),
        (
            "student: {backbone: {kind: resnet20, pooled_sizes: [9]}}",
            "student.backbone.pooled_sizes[0] = 9: input should be less than",
        ),
    ],
)
def test_a_wrong_value_is_said_with_file_path_and_value(file: Path, text: str, start: str) -> None:
    said = message(file, text)
    assert said.startswith(f"{file}: {start}")
    assert "\n" not in said


@pytest.mark.parametrize("value", ["abc", "[1.5]", "{a: 1}"])
def test_a_wrong_class_order_is_one_error_without_names_of_types(file: Path, value: str) -> None:
    said = message(file, f"scenario: {{class_order: {value}}}")
    assert said.startswith(f"{file}: scenario.class_order")
    assert "\n" not in said
    assert "tuple[" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: true", "seed is yes; give a number"),
        (
            "student: {training: {learning_rate: no}}",
            "student.training: learning_rate is no; give a number",
        ),
        (
            "scenario: {max_images_per_class: yes}",
            "scenario: max_images_per_class is yes; give a number",
        ),
        (
            "data: {kind: image_folder, train: a, num_channels: true}",
            "data: num_channels is yes; give a number",
        ),
        ("data: {kind: image_folder, train: ''}", "data: train is an empty path; give one"),
        (
            "store: {uri: ~no-such-user/x}",
            "store.uri: ~no-such-user/x: there is no such home directory; write the whole path",
        ),
        (
            "data: {kind: image_folder, train: ~no-such-user/x}",
            "data.train: ~no-such-user/x: there is no such home directory",
        ),
    ],
)
def test_a_value_that_would_pass_for_another_is_refused(file: Path, text: str, said: str) -> None:
    assert message(file, text).startswith(f"{file}: {said}")


def test_truth_values_are_taken_where_they_are_meant(file: Path) -> None:
    values = "download: yes, options: {balanced: true}, augmentation: {horizontal_flip: yes}"
    file.write_text(f"data: {{kind: torchvision, name: EMNIST, root: a, {values}}}")
    data = load_experiment(file).data
    assert isinstance(data, TorchvisionDataConfig)
    assert (data.download, data.options, data.augmentation.horizontal_flip) == (
        True,
        {"balanced": True},
        True,
    )


def test_every_wrong_value_of_a_file_is_said_at_once(file: Path) -> None:
    said = message(file, "seed: x\nteacher: {num_views: y}\nstudnt: {}")
    assert [line.split(" ")[1] for line in said.splitlines()] == [
        "seed",
        "teacher.num_views",
        "studnt",
    ]


def test_an_unknown_kind_suggests_the_nearest(file: Path) -> None:
    assert (
        message(file, "method: {kind: finetunning}")
        == f"{file}: method.kind = 'finetunning' is not known; did you mean finetuning?"
    )


def test_an_unknown_kind_with_nothing_near_lists_the_choices(file: Path) -> None:
    said = message(file, "teacher: {spread: {kind: qqq}}")
    assert (
        "teacher.spread.kind = 'qqq' is not known; choose one of 'shared', 'scalar', 'low_rank'"
        in said
    )


@pytest.mark.parametrize(
    ("text", "path", "kind"),
    [
        ("data: {test_fraction: 0.2}", "data", "digits"),
        ("method: {}", "method", "dual_teacher"),
        ("teacher: {augmentation: {margin: 0.2}}", "teacher.augmentation", "adaptive"),
        ("student: {transfer: {similarity: cosine}}", "student.transfer", "threshold"),
        ("execution: {max_preemptions: 1}", "execution", "ray"),
        ("student: {backbone: {}}", "student.backbone", "small_cnn_tiny"),
        ("teacher: {backbone: {}}", "teacher.backbone", "small_cnn"),
    ],
)
def test_a_mapping_without_kind_means_the_default_variant(
    file: Path, text: str, path: str, kind: str
) -> None:
    assert value_at(load(file, text), path).kind == kind


# --- overrides ------------------------------------------------------------------------------------


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


def test_an_override_reaches_below_keys_that_the_file_leaves_out_or_empty(file: Path) -> None:
    assert load(file, "teacher:\n", "teacher.training.epochs=3").teacher.training.epochs == 3


def test_the_last_override_of_a_key_wins(file: Path) -> None:
    assert load(file, "seed: 1", "seed=2", "seed=3").seed == 3


def test_an_override_leaves_its_neighbours_as_the_file_has_them(file: Path) -> None:
    training = load(
        file, "teacher: {training: {epochs: 7}}", "teacher.training.batch_size=8"
    ).teacher.training
    assert (training.epochs, training.batch_size) == (7, 8)


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=1", ".seed=1", "seed.=1"])
def test_an_override_of_another_form_is_refused_with_an_example(file: Path, override: str) -> None:
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
def test_a_wrong_override_is_named_in_the_message(file: Path, override: str, said: str) -> None:
    text = message(file, "", override)
    assert f"--set {override}" in text
    assert said in text


@pytest.mark.parametrize("value", ["[1]", "{a: 1}", "3", "null"])
def test_a_kind_that_is_no_text_is_refused(file: Path, value: str) -> None:
    assert "method.kind" in message(file, "", f"method.kind={value}")


def test_choosing_another_kind_drops_the_files_keys_of_the_old_kind(file: Path) -> None:
    text = "teacher: {augmentation: {kind: adaptive, margin: 0.3, num_vectors: 5, radius: 2.0}}"
    chosen = load(file, text, "teacher.augmentation.kind=random").teacher.augmentation
    assert chosen.model_dump() == {"kind": "random", "num_vectors": 5, "radius": 2.0}


def test_choosing_another_kind_than_the_default_drops_the_defaults_keys_too(file: Path) -> None:
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
