"""User errors give one clear message, the right exit code, no traceback, and nothing in MLflow."""

import io
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Case:
    """A valid experiment on Parquet files; each test breaks one thing."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder = folder
        self.command = command
        self.train, self.test = folder / "train.parquet", folder / "test.parquet"
        self.write(self.train, {"cat": 6, "dog": 6, "fox": 6, "owl": 6})
        self.write(self.test, {"cat": 2, "dog": 2, "fox": 2, "owl": 2})
        self.values: dict[str, Any] = {
            "data": {
                "kind": "parquet",
                "train": str(self.train),
                "test": str(self.test),
                "image_size": 8,
                "cache_dir": str(folder / "cache"),
            },
            "teacher": {"training": {"epochs": 1}, "refinement": {"epochs": 1}, "num_views": 0},
            "student": {"training": {"epochs": 1}},
            "execution": {"kind": "in_process", "num_threads": 1},
            "store": {"uri": f"{folder}/store"},
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "spool": f"{folder}/spool"},
        }

    @staticmethod
    def write(file: Path, counts: dict[str, int], spoiled: object = None) -> None:
        """Write random grey images; `spoiled` replaces the last one."""
        random = np.random.default_rng(0)
        labels = [label for label, count in counts.items() for _ in range(count)]
        images: list[Any] = [random.random((8, 8)).tolist() for _ in labels]
        if spoiled is not None:
            images[-1] = spoiled
        pixels = pa.list_(pa.list_(pa.float64()))
        pq.write_table(
            pa.table({"image": pa.array(images, pixels), "label": pa.array(labels, pa.string())}),
            file,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        file = self.folder / "experiment.yaml"
        file.write_text(yaml.safe_dump(self.values))
        return self.command("run", str(file), "--output", str(self.folder / "out"), *arguments)

    def error(self, exit_code: int, *arguments: str) -> str:
        """Return the only error message, after checking that nothing else happened."""
        answer = self.run(*arguments)
        assert answer.returncode == exit_code, answer.stderr
        assert answer.stdout == ""
        [line] = answer.stderr.splitlines()
        assert line.startswith("error: ")
        assert not (self.folder / "mlflow.db").exists(), "no run was opened"
        return line.removeprefix("error: ")


@pytest.fixture
def case(tmp_path: Path, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    return Case(tmp_path, orchestrator_command)


def test_the_unbroken_case_runs(case: Case) -> None:
    answer = case.run()
    assert answer.returncode == 0, answer.stderr
    assert (case.folder / "mlflow.db").exists()


# --- the experiment file --------------------------------------------------------------------------


def test_unknown_key(case: Case) -> None:
    case.values["teacher"]["trainng"] = {}
    assert case.error(2).endswith(
        "experiment.yaml: teacher.trainng is not a known key; did you mean teacher.training?"
    )


def test_wrong_type(case: Case) -> None:
    case.values["teacher"]["training"]["epochs"] = "many"
    assert (
        "experiment.yaml: teacher.training.epochs = 'many': input should be a valid integer"
        in case.error(2)
    )


def test_wrong_override(case: Case) -> None:
    assert "--set teacher.training.epochs=0: teacher.training.epochs = 0: " in case.error(
        2, "--set", "teacher.training.epochs=0"
    )


def test_missing_experiment_file(orchestrator_command: Command, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    answer = orchestrator_command("run", str(tmp_path / "digit.yaml"))
    assert answer.returncode == 2
    assert (
        answer.stderr
        == f"error: {tmp_path}/digit.yaml: no such file; did you mean {tmp_path}/digits.yaml?\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["run", "--nonesuch", "x.yaml"], ["nonesuch"], ["run", "x.yaml", "--set"]],
)
def test_wrong_usage_of_the_command(orchestrator_command: Command, arguments: list[str]) -> None:
    answer = orchestrator_command(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.count("Error") == 1
    assert "Traceback" not in answer.stderr


def test_validate_names_every_invalid_file_and_exits_with_2(
    orchestrator_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text("seed: 1")
    (tmp_path / "bad.yaml").write_text("sed: 1")
    answer = orchestrator_command(
        "validate", *(str(tmp_path / name) for name in ("bad.yaml", "good.yaml", "none.yaml"))
    )
    assert answer.returncode == 2
    assert answer.stdout == f"{tmp_path}/good.yaml: valid\n"
    assert [line.split(": ")[0] for line in answer.stderr.splitlines()] == [
        f"{tmp_path}/bad.yaml",
        f"{tmp_path}/none.yaml",
    ]


# --- the data -------------------------------------------------------------------------------------


def test_validate_rejects_missing_local_data(case: Case) -> None:
    case.values["data"]["train"] = str(case.folder / "nonesuch-*.parquet")
    case.values["data"]["unlabeled"] = {"kind": "image_folder", "path": str(case.folder / "none")}
    file = case.folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(case.values))
    answer = case.command("validate", str(file))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"{file}: data.train = '{case.folder}/nonesuch-*.parquet': no such file on this machine;"
        f" data.unlabeled.path = '{case.folder}/none': no such file on this machine;"
        " correct the path, or add --skip-data to check values only\n"
    )
    assert case.command("validate", "--skip-data", str(file)).returncode == 0
    case.values["data"] |= {"train": f"{case.folder}/tra*.parquet", "unlabeled": None}
    file.write_text(yaml.safe_dump(case.values))
    assert case.command("validate", str(file)).returncode == 0


def test_missing_data_file(case: Case) -> None:
    case.train.unlink()
    assert (
        case.error(2) == f"{case.train}: no such file or folder; correct data.train and data.test"
    )


def test_a_label_missing_from_the_test_split(case: Case) -> None:
    case.write(case.test, {"cat": 2, "dog": 2, "owl": 2})
    assert "class 'fox' has no test images" in case.error(2)


def test_a_class_with_one_sample(case: Case) -> None:
    case.write(case.train, {"cat": 6, "dog": 1, "fox": 6, "owl": 6})
    assert "class 'dog' has 1 training images" in case.error(2)


def test_an_empty_class(case: Case) -> None:
    case.values["scenario"] = {"class_order": ["cat", "dog", "fxo"]}
    assert "scenario.class_order: " in (said := case.error(2))
    assert "has no label 'fxo'; did you mean fox?" in said


def test_nan_pixels(case: Case) -> None:
    case.write(
        case.train,
        {"cat": 6, "dog": 6, "fox": 6, "owl": 6},
        spoiled=[[0.5, float("nan")], [0.5, 0.5]],
    )
    assert case.error(2).startswith(f"{case.train} row 23: has 1 pixels that are NaN or infinite")


def test_an_empty_image(case: Case) -> None:
    case.write(case.test, {"cat": 2, "dog": 2, "fox": 2, "owl": 2}, spoiled=[])
    assert case.error(2).startswith(f"{case.test} row 7: is not an image of pixels")


def test_a_truncated_image(case: Case) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(whole, "PNG")
    pq.write_table(pa.table({"image": [whole.getvalue()[:60]], "label": ["cat"]}), case.train)
    assert case.error(2).startswith(f"{case.train} row 0: cannot be decoded")


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_parquet_file(case: Case, split: str) -> None:
    file = getattr(case, split)
    case.write(file, {})
    assert case.error(2) == f"{file}: holds no images; add images"


def test_a_corrupt_parquet_file(case: Case) -> None:
    case.test.write_bytes(case.test.read_bytes()[:-20])
    assert case.error(2).startswith(f"{case.test}: is not a readable Parquet file (")


def test_a_parquet_file_with_a_hole_in_the_middle(case: Case) -> None:
    content = bytearray(case.test.read_bytes())
    content[20 : len(content) // 2] = bytes(len(content) // 2 - 20)
    case.test.write_bytes(bytes(content))
    assert str(case.test) in case.error(2)


@pytest.mark.parametrize(("key", "limit"), [("num_base_classes", 4), ("classes_per_task", 2)])
def test_more_classes_a_task_than_classes(case: Case, key: str, limit: int) -> None:
    case.values["scenario"] = {key: 11}
    said = case.error(2)
    assert f"{key} = 11, but " in said
    assert said.endswith(f"set it to at most {limit}")


# --- execution ------------------------------------------------------------------------------------


def test_a_missing_gpu(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "execution.device = 'cuda', but torch sees no GPU here" in case.error(
        2, "--set", "execution.device=cuda"
    )


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_an_unknown_backbone(case: Case, role: str) -> None:
    case.values[role]["backbone"] = {"kind": "torchvision", "name": "resnet81"}
    assert "torchvision has no classification model 'resnet81'; did you mean resnet" in case.error(
        2
    )


def test_an_output_folder_that_cannot_be_written(case: Case) -> None:
    # below a file not even root can write
    (case.folder / "file").touch()
    assert case.error(2, "--output", str(case.folder / "file" / "out")).startswith(
        f"{case.folder}/file/out: cannot be written ("
    )


@pytest.mark.parametrize(
    "words",
    [
        "run experiment.yaml",
        "sweep space.yaml --experiment experiment.yaml",
        "retrain retraining.yaml",
    ],
)
def test_a_summary_that_cannot_be_replaced(case: Case, words: str) -> None:
    (case.folder / "experiment.yaml").write_text(yaml.safe_dump(case.values))
    space = {
        "parameters": {"student.temperature": {"kind": "choice", "values": [1, 4]}},
        "num_trials": 2,
    }
    (case.folder / "space.yaml").write_text(yaml.safe_dump(space))
    (case.folder / "retraining.yaml").write_text("experiment: experiment.yaml\nsource: {path: .}\n")
    (case.folder / "out" / "summary.json").mkdir(parents=True)
    answer = case.command(*words.split(), "--output", "out")
    assert answer.returncode == 3, answer.stderr
    [line] = answer.stderr.splitlines()
    assert "out/summary.json: the summary of an earlier command cannot be removed" in line


def test_a_cache_folder_that_cannot_be_written(case: Case) -> None:
    (case.folder / "file").touch()
    case.values["data"]["cache_dir"] = str(case.folder / "file" / "cache")
    assert "cannot write decoded images" in (said := case.error(3))
    assert said.endswith("set data.cache_dir to a writable folder")


def test_a_stage_store_that_cannot_be_written(case: Case) -> None:
    (case.folder / "file").touch()
    assert f"{case.folder}/file" in case.error(3, "--set", f"store.uri={case.folder}/file/store")


def test_an_unreachable_tracking_server_is_reported_quickly(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    said = case.error(3, "--set", f"tracking.uri=http://127.0.0.1:{port}")
    assert said.startswith(f"http://127.0.0.1:{port}: the tracking store cannot be used: ")
    assert time.monotonic() - started < 60  # MLflow itself would retry for some minutes


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "ftp://host/x", "sqlite://"])
def test_an_unusable_tracking_address(case: Case, uri: str) -> None:
    assert case.error(2, "--set", f"tracking.uri={uri}").startswith("tracking.uri: ")
