"""Models exported as files by the command, from real runs in a real MLflow store, compared with the
network's own outputs.
"""

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from orchestrator import output_files
from orchestrator.config import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario import Split
from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.export import comparison
from orchestrator.models.network import predict
from orchestrator.pipelines.export.export import export as export_model
from orchestrator.pipelines.export.outcome import ExportRequest
from orchestrator.pipelines.registration.register import register
from orchestrator.pipelines.run.run import RunResult, run
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.reading import open_model_reader

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Recorded(NamedTuple):
    """A tracking store with runs."""

    uri: str
    experiment: Experiment
    result: RunResult

    @property
    def run_id(self) -> str:
        return str(self.result.summary["run_id"])

    def test_images(self) -> LabeledImages:
        scenario = self.result.work.scenario
        return scenario.images_of(Split.TEST, range(len(scenario.class_names)))

    def logits(
        self, role: str, num: int | None = None
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return predict(
            self.result.models["teacher" if role == "teacher" else "student"].network,
            self.test_images().images[:num],
        ).numpy()


def tracked(experiment: Experiment, folder: Path, models: str, **values: object) -> Experiment:
    tracking = {
        "uri": f"sqlite:///{folder}/mlflow.db",
        "spool": str(folder / "spool"),
        "models": models,
    }
    return Experiment.model_validate({**experiment.model_dump(), "tracking": tracking, **values})


@pytest.fixture(scope="module")
def recorded(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    folder = tmp_path_factory.mktemp("exports")
    uri = new_database(folder)
    experiment = tracked(tiny_experiment, folder, "register", student={"training": {"epochs": 20}})
    return Recorded(uri, experiment, run(experiment, folder / "out"))


@pytest.fixture
def export(recorded: Recorded, orchestrator_command: Command) -> Command:
    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return orchestrator_command("export", *arguments, "--tracking-uri", recorded.uri)

    return command


def assert_refused(done: "subprocess.CompletedProcess[str]", *texts: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    for text in texts:
        assert text in done.stderr


# --- files ----------------------------------------------------------------------------------------


def said_by_recipe(model: Path, photo: Path) -> str:
    """Return the output of the guide's example for a model and a photograph."""
    [recipe] = [
        block
        for block in re.findall(
            r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        if "onnxruntime" in block
    ]
    for name, file in (("digits.onnx", model), ("photo.png", photo)):
        assert f'"{name}"' in recipe
        recipe = recipe.replace(f'"{name}"', repr(str(file)))
    said: list[str] = []
    exec(compile(recipe, str(GUIDE), "exec"), {"print": said.append})  # noqa: S102 - the recipe is what is tested
    return "".join(said)


def test_an_onnx_file_predicts_like_the_network_and_is_shown_next_to_the_teacher(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    file = tmp_path / "deep" / "digits.onnx"
    done = export(recorded.run_id[:8], "--output", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    session = onnxruntime.InferenceSession(file)
    images, expected = recorded.test_images(), recorded.logits("student")
    for num in (1, 7, len(images)):
        [logits] = session.run(None, {"images": images.images[:num].numpy()})
        assert (
            np.abs(logits - expected[:num]).max() < 1e-4 / 16 * np.abs(expected).max()
        )  # of cosines, which lie within 16, 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"]) == ["0", "1", "2", "3", "4", "5"]
    assert (about["run_id"], about["role"], about["experiment"], about["dataset"]) == (
        recorded.run_id,
        "student",
        "tiny",
        "digits",
    )
    assert re.search(r"student ┃ +teacher", done.stdout), done.stdout
    for role in ROLES:
        measures = recorded.result.summary[role]
        assert f"{measures['num_parameters']:,}" in done.stdout
        assert f"{100 * measures['last_accuracy']:.1f} %" in done.stdout
    assert f"on {len(images)} test images: largest logit difference" in done.stdout
    equal = (logits.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert equal > 0.99  # two almost equally likely classes may be swapped
    assert f"equal predictions {100 * equal:.1f} %" in done.stdout
    assert done.stdout.splitlines()[-1] == str(file)
    assert list(file.parent.iterdir()) == [file]
    Image.fromarray(images.images[100, 0].numpy()).save(tmp_path / "photo.png")
    assert said_by_recipe(file, tmp_path / "photo.png") == str(expected[100].argmax())


def test_a_pt2_file_gives_exactly_the_networks_logits(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    done = export(
        recorded.run_id,
        "--format",
        "pt2",
        "--role",
        "teacher",
        "--output",
        str(tmp_path / "digits.pt2"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    about = {"class_names": "", "role": "", "input_shape": ""}
    module = torch.export.load(tmp_path / "digits.pt2", extra_files=about).module()
    assert (
        about
        | {
            "class_names": '["0", "1", "2", "3", "4", "5"]',
            "role": "teacher",
            "input_shape": "[1, 8, 8]",
        }
        == about
    )
    for num in (1, 7):
        with torch.no_grad():
            assert np.array_equal(
                module(recorded.test_images().images[:num]).numpy(), recorded.logits("teacher", num)
            )
    assert "largest logit difference 0, equal predictions 100.0 %" in done.stdout
    assert "one image, one thread, PyTorch" in done.stdout


def test_int8_is_calibrated_on_training_images_and_shown_next_to_float32(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    done = export(recorded.run_id, "--quantize", "--output", str(tmp_path / "small.onnx"))
    assert done.returncode == 0, done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]
    how = re.search(
        r"static int8, calibrated on (\d+) training images: largest logit difference .* equal"
        r" predictions (\d+\.\d) %",
        done.stdout,
    )
    assert how is not None, done.stdout
    assert int(how[1]) == sum(
        min(43, len(rows)) for rows in recorded.result.work.scenario.indices[Split.TRAIN]
    )  # 43 = ⌈256 / 6⌉
    assert onnx.TensorProto.INT8 in {
        each.data_type for each in onnx.load(tmp_path / "small.onnx").graph.initializer
    }
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    assert session.get_modelmeta().custom_metadata_map["quantization"].startswith("static int8")
    images = recorded.test_images()
    predictions = session.run(None, {"images": images.images.numpy()})[0].argmax(axis=1)
    assert (
        f"{100 * (predictions == recorded.logits('student').argmax(axis=1)).mean():.1f}" == how[2]
    )
    by_task = [
        (predictions == images.labels.numpy())[np.isin(images.labels.numpy(), task)].mean()
        for task in ((0, 1), (2, 3), (4, 5))
    ]
    assert f"{100 * np.mean(by_task):.1f} %" in done.stdout
    loss = recorded.result.summary["student"]["last_accuracy"] - np.mean(by_task)
    assert ("warning: int8 costs" in done.stderr) == (loss > 0.01)


def test_a_registered_model_is_exported_by_alias_and_version(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    MlflowClient(recorded.uri, recorded.uri).set_registered_model_alias(
        "tiny-teacher", "champion", "1"
    )
    done = export("tiny-teacher@champion", "--format", "pt2", "--output", str(tmp_path / "a.pt2"))
    assert (done.returncode, done.stderr) == (0, "")
    about = {"role": "", "run_id": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=about)
    assert about | {"role": "teacher", "run_id": recorded.run_id} == about
    assert_refused(export("tiny-teacher/1", "--role", "student"), "tiny-teacher/1 is a teacher")
    assert_refused(export("tiny-teacher/7"), "there is no model tiny-teacher/7 in the registry")
    assert_refused(
        export("tiny-student@champion"), "there is no model tiny-student@champion in the registry"
    )
    assert_refused(export("a/b/c"), "'a/b/c' is not a model")


def test_a_run_without_models_in_mlflow_is_exported_from_the_stage_store(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    tracking = {**recorded.experiment.tracking.model_dump(), "models": "none"}
    again = run(
        recorded.experiment.model_copy(
            update={"tracking": type(recorded.experiment.tracking)(**tracking)}
        ),
        tmp_path / "out",
    )
    run_id = again.summary["run_id"]
    file = tmp_path / "again.pt2"
    assert export(run_id, "--format", "pt2", "--output", str(file)).returncode == 0
    with torch.no_grad():
        logits = torch.export.load(file).module()(recorded.test_images().images[:7]).numpy()
    assert np.array_equal(logits, recorded.logits("student", 7))
    client = MlflowClient(recorded.uri)
    described = Path(client.download_artifacts(run_id, output_files.EXPERIMENT_FILE, str(tmp_path)))
    described.write_text(
        described.read_text(encoding="utf-8").replace("epochs: 20", "epochs: 21"), encoding="utf-8"
    )
    client.log_artifact(run_id, str(described))
    nowhere = tmp_path / "exports" / "deep" / "digits.pt2"
    refused = export(run_id, "--format", "pt2", "--output", str(nowhere))
    assert_refused(
        refused, f"run {run_id} has no student in MLflow, and its stages are no longer in the store"
    )
    assert not nowhere.parents[1].exists()
    with pytest.raises(UserInputError, match="stages are no longer in the store"):
        register(run_id, "late", [], recorded.uri)
    described.write_text(
        described.read_text(encoding="utf-8").replace("epochs: 21", "epochs: 20"), encoding="utf-8"
    )
    client.log_artifact(run_id, str(described))
    registered = register(run_id, "late", [], recorded.uri).versions
    assert [it.is_new for it in registered.values()] == [True, True]
    found = open_model_reader(recorded.uri).registered("late-student/1")
    assert (found.run_id, found.role) == (run_id, "student")


def test_if_the_data_have_changed_random_images_are_compared(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    client = MlflowClient(recorded.uri)
    fingerprint = client.get_run(recorded.run_id).data.tags[names.DATASET_FINGERPRINT_TAG]
    client.set_tag(recorded.run_id, names.DATASET_FINGERPRINT_TAG, "0" * 64)
    try:
        done = export(recorded.run_id, "--format", "pt2", "--output", str(tmp_path / "digits.pt2"))
    finally:
        client.set_tag(recorded.run_id, names.DATASET_FINGERPRINT_TAG, fingerprint)
    assert done.returncode == 0
    assert (
        "on 256 random images, as the data set cannot be used (digits: the data has changed"
        " since the run)" in done.stdout
    )


# --- rejected -------------------------------------------------------------------------------------


def test_a_file_with_other_outputs_is_rejected_and_an_earlier_file_is_kept(
    recorded: Recorded, export: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "TOLERANCE", -1.0)  # now equal outputs count as different
    file = tmp_path / "digits.pt2"
    file.write_bytes(b"earlier")
    done = export(recorded.run_id, "--format", "pt2", "--output", str(file))
    assert done.returncode == 1
    assert "error: the exported file's logits differ from the original's by up to 0" in done.stderr
    assert file.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_an_impossible_export_is_reported_with_the_next_step(
    recorded: Recorded, export: Command, tmp_path: Path
) -> None:
    experiment = recorded.experiment
    failed = open_run(experiment.tracking, "tiny", "broken", {})
    failed.close(RunStatus.FAILED, "the disk is full")
    sweep = open_run(experiment.tracking, "tiny", "sweep", {})
    sweep.set_tags({names.SWEEP_TAG: sweep.run_id})
    trial = sweep.open_child("trial 0", {names.TRIAL_TAG: "0"})
    trial.close(RunStatus.FINISHED)
    sweep.close(RunStatus.FINISHED)
    running = MlflowClient(recorded.uri).create_run("1").info.run_id
    assert_refused(export("ffffffff"), "there is no run ffffffff")
    assert_refused(export("my-run"), "'my-run' is not a run id")
    assert_refused(
        export(failed.run_id), "has no student in MLflow: it is FAILED: the disk is full"
    )
    assert_refused(
        export(sweep.run_id), "is a sweep, which has no model of its own; run the sweep's best"
    )
    assert_refused(export(trial.run_id), "has no student in MLflow: it is a trial of a sweep")
    assert_refused(export(running), "is still running; wait until the run ends")
    assert_refused(
        export(recorded.run_id, "--format", "pt2", "--quantize"),
        "--quantize: int8 needs ONNX Runtime",
    )
    assert_refused(
        export(recorded.run_id, "--output", str(tmp_path)), "is a folder; name a file with --output"
    )
    (tmp_path / "file").touch()
    done = export(recorded.run_id, "--output", str(tmp_path / "file" / "digits.onnx"))
    assert (done.returncode, "choose another --output" in done.stderr) == (3, True)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


class Heard:
    """Listener that does something at the first step."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def step(self, what: str) -> None:
        if what.startswith("fetch"):
            self.act()

    def progress(self, done: int, total: int) -> None:
        pass


def test_an_input_error_is_not_reported_as_an_output_error(
    recorded: Recorded, tmp_path: Path
) -> None:
    request = ExportRequest(recorded.run_id, kind="pt2", output=tmp_path / "deep" / "digits.pt2")
    with pytest.raises(FileNotFoundError, match="nonesuch"):
        export_model(request, recorded.uri, Heard((tmp_path / "nonesuch").read_bytes))
    assert not list(tmp_path.iterdir())


def test_a_path_that_becomes_occupied_during_the_export_is_reported(
    recorded: Recorded, tmp_path: Path
) -> None:
    file = tmp_path / "digits.pt2"
    with pytest.raises(
        StorageUnavailableError,
        match=r"digits\.pt2: the file cannot be written .*; choose another --output",
    ):
        export_model(
            ExportRequest(recorded.run_id, kind="pt2", output=file),
            recorded.uri,
            Heard(lambda: file.mkdir(exist_ok=True)),
        )
    assert list(tmp_path.iterdir()) == [file]


# --- predict --------------------------------------------------------------------------------------


def test_predict_equals_the_network_by_run_by_registry_and_by_file(
    recorded: Recorded, export: Command, orchestrator_command: Command, tmp_path: Path
) -> None:
    cells = [encoded(image) for image in recorded.test_images().images[::9].numpy()]
    pq.write_table(pa.table({"image": cells}), tmp_path / "new.parquet")
    client = MlflowClient(recorded.uri, recorded.uri)
    client.set_registered_model_alias("tiny-student", "served", "1")
    export(recorded.run_id, "--output", str(tmp_path / "student.onnx"))
    class_names = recorded.result.work.scenario.class_names
    expected = torch.from_numpy(recorded.logits("student")[::9]).softmax(dim=1).max(dim=1)
    for model in (
        recorded.run_id[:8],
        "models:/tiny-student@served",
        "models:/tiny-student/1",
        "tiny-student/1",
        str(tmp_path / "student.onnx"),
    ):
        done = orchestrator_command(
            "predict", model, str(tmp_path / "new.parquet"), "--tracking-uri", recorded.uri
        )
        assert (done.returncode, done.stderr) == (0, ""), model
        _, *lines = csv.reader(io.StringIO(done.stdout))
        assert [line[1] for line in lines] == [class_names[place] for place in expected.indices]
        given = [float(line[2]) for line in lines]
        assert given == pytest.approx(expected.values.tolist(), abs=1e-4)
    assert len({line[1] for line in lines}) > 1


def encoded(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[0]).save(content, "PNG")
    return content.getvalue()


def test_an_impossible_prediction_is_reported_with_the_next_step(
    recorded: Recorded, orchestrator_command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(recorded.test_images().images[0].numpy()))
    sweep = open_run(recorded.experiment.tracking, "tiny", "a sweep", {})
    sweep.set_tags({names.SWEEP_TAG: sweep.run_id})
    sweep.close(RunStatus.FINISHED)
    for model, said in (
        ("models:/tiny-student/77", "there is no model models:/tiny-student/77 in the registry"),
        ("models:/tiny-student", "'models:/tiny-student' is not a model"),
        ("ffffffff", "there is no run ffffffff"),
        ("champion", "'champion' is not a run id"),
        (sweep.run_id, "is a sweep, which has no model of its own"),
    ):
        assert_refused(
            orchestrator_command("predict", model, str(file), "--tracking-uri", recorded.uri), said
        )
