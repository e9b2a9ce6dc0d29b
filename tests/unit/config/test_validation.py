"""Messages about invalid keys and values name file, key path and the nearest valid key or value."""

from pathlib import Path

import pytest

from orchestrator.config import load_experiment
from orchestrator.config.data import TorchvisionDataConfig
from tests.unit.config.experiment_files import load, message, value_at


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
def test_an_unknown_key_is_named_with_file_and_path_and_the_nearest_key(
    file: Path, text: str, unknown: str, nearest: str
) -> None:
    assert message(file, text) == f"{file}: {unknown} is not a known key; did you mean {nearest}?"


def test_an_unknown_key_without_a_near_match_lists_the_known_keys(file: Path) -> None:
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
def test_an_invalid_value_is_reported_with_file_path_and_value(
    file: Path, text: str, start: str
) -> None:
    said = message(file, text)
    assert said.startswith(f"{file}: {start}")
    assert "\n" not in said


@pytest.mark.parametrize("value", ["abc", "[1.5]", "{a: 1}"])
def test_an_invalid_class_order_is_one_error_without_names_of_types(file: Path, value: str) -> None:
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
        ("data: {kind: image_folder, train: ''}", "data: train is an empty path; give a path"),
        (
            "store: {uri: ~no-such-user/x}",
            "store.uri: ~no-such-user/x: no such home directory; give an absolute path",
        ),
        (
            "data: {kind: image_folder, train: ~no-such-user/x}",
            "data.train: ~no-such-user/x: no such home directory",
        ),
    ],
)
def test_a_value_of_another_type_is_not_converted(file: Path, text: str, said: str) -> None:
    assert message(file, text).startswith(f"{file}: {said}")


def test_booleans_are_accepted_where_they_are_expected(file: Path) -> None:
    values = "download: yes, options: {balanced: true}, augmentation: {horizontal_flip: yes}"
    file.write_text(f"data: {{kind: torchvision, name: EMNIST, root: a, {values}}}")
    data = load_experiment(file).data
    assert isinstance(data, TorchvisionDataConfig)
    assert (data.download, data.options, data.augmentation.horizontal_flip) == (
        True,
        {"balanced": True},
        True,
    )


def test_all_invalid_values_of_a_file_are_reported_at_once(file: Path) -> None:
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


def test_an_unknown_kind_without_a_near_match_lists_the_choices(file: Path) -> None:
    said = message(file, "teacher: {spread: {kind: qqq}}")
    assert (
        "teacher.spread.kind = 'qqq' is not known; choose one of 'observed', 'shared', 'scalar',"
        " 'low_rank'" in said
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
