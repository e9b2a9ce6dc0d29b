"""Images without labels from the command line: output and files of a run, and the output of `plan`
and `data describe`.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from orchestrator.config import Experiment
from orchestrator.data import ImageTable
from orchestrator.tracking import names
from tests.unlabeled import noise, png, write_unlabeled

Command = Callable[..., "subprocess.CompletedProcess[str]"]
NUM_NEW = 12
# classes of three tasks of two digits each, with 20 training images a class after the first task
CLASSES = [0, 1, 2, 3, 4, 5]


@pytest.fixture
def camera(digits_table: ImageTable, tmp_path: Path) -> Path:
    """Write twelve new images, one of them twice, and three test images."""
    test = digits_table.images[np.flatnonzero(digits_table.is_test)[:3]]
    new = noise(NUM_NEW)
    return write_unlabeled(tmp_path / "camera" / "1.parquet", [*test, *new, new[0]])


@pytest.fixture
def case(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    camera: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """Return the values of an experiment file."""
    monkeypatch.chdir(tmp_path)
    values = tiny_experiment.model_dump(mode="json")
    values["data"]["unlabeled"] = {"kind": "parquet", "path": str(camera)}
    values["student"]["backbone"] = {"kind": "inherited", "until": "stage1"}
    values["tracking"] |= {"uri": new_database(tmp_path), "spool": str(tmp_path / "spool")}
    return values


def file_of(values: dict[str, Any]) -> str:
    Path("experiment.yaml").write_text(yaml.safe_dump(values))
    return "experiment.yaml"


def test_a_run_reports_and_stores_its_use_of_images_without_labels(
    case: dict[str, Any], orchestrator_command: Command
) -> None:
    from mlflow import MlflowClient

    answer = orchestrator_command("run", file_of(case), "--output", "out")
    assert answer.returncode == 0, answer.stderr
    said = "12 images without labels; 4 skipped: 3 test images, 1 repeated image"
    assert said in answer.stdout
    summary = json.loads(Path("out/summary.json").read_text())
    found = summary["unlabeled"]
    assert (found["name"], found["num_images"], found["sure_from"]) == ("camera", NUM_NEW, 0.9)
    assert found["num_left_out"] == {
        "in_test": 3,
        "in_validation": 0,
        "in_training": 0,
        "repeated": 1,
    }
    assert [row["class"] for row in found["classes"]] == CLASSES
    assert sum(row["num_assigned"] for row in found["classes"]) == NUM_NEW
    assert all(row["num_sure"] <= row["num_assigned"] for row in found["classes"])
    page = Path("out/report.html").read_text()
    assert "Images without labels" in page
    assert said in page
    run = MlflowClient(case["tracking"]["uri"]).get_run(summary["run_id"])
    num_sure = sum(row["num_sure"] for row in found["classes"])
    assert {name: run.data.metrics[name] for name in names.UNLABELED_METRICS} == {
        "final/unlabeled_images": NUM_NEW,
        "final/unlabeled_left_out": 4,
        "final/unlabeled_sure": num_sure,
    }
    assert run.inputs is not None
    uses = {use.dataset.name: use for use in run.inputs.dataset_inputs}
    assert [tag.value for tag in uses["camera-unlabeled"].tags] == ["unlabeled"]
    assert json.loads(uses["camera-unlabeled"].dataset.profile or "") == {"num_images": NUM_NEW}


def test_images_without_labels_change_no_accuracy_of_a_method_that_does_not_use_them(
    case: dict[str, Any], orchestrator_command: Command
) -> None:
    case["method"] = {"kind": "analytic"}
    case["student"]["backbone"] = {"kind": "small_cnn_tiny"}
    file = file_of(case)
    summaries = []
    for settings in ([], ["--set", "data.unlabeled=null"]):
        answer = orchestrator_command("run", file, "--output", "out", *settings)
        assert answer.returncode == 0, answer.stderr
        expected = "images without labels are not read: no stage learns from them"
        assert (expected in answer.stdout) == (settings == [])
        summaries.append(json.loads(Path("out/summary.json").read_text()))
    assert all("unlabeled" not in summary for summary in summaries)
    for role in ("teacher", "student"):
        assert summaries[0][role] == summaries[1][role]
    assert all(stage["cached"] for stage in summaries[1]["stages"])


def test_the_training_images_of_any_labeled_source_are_usable(
    case: dict[str, Any], orchestrator_command: Command, digits_table: ImageTable
) -> None:
    """With digits as both sources, only images that are not used with labels remain."""
    case["data"]["unlabeled"] = {"kind": "labeled", "source": {"kind": "digits"}}
    answer = orchestrator_command("plan", file_of(case))
    assert answer.returncode == 0, answer.stderr
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("unlabeled")]
    whole = digits_table.labels[~digits_table.is_test]
    per_class = {str(c): int((whole == str(c)).sum()) for c in CLASSES}
    num_validation = sum(max(1, round(0.1 * num)) for num in per_class.values())
    first = sum(per_class[c] - max(1, round(0.1 * per_class[c])) for c in ("0", "1"))
    # one or two of the bundled digits occur twice; one of each pair is then excluded as a duplicate
    num_known = num_validation + first + 4 * 20
    used = int(line.split()[1].replace(",", ""))
    assert len(whole) - num_known - 5 <= used <= len(whole) - num_known
    assert f"{num_validation} validation images" in line


def test_plan_counts_images_without_labels_and_their_features_once(
    pretrained_experiment: Experiment,
    camera: Path,
    orchestrator_command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    values = pretrained_experiment.model_dump(mode="json")
    values["student"]["backbone"] = {"kind": "inherited", "until": "stage1"}

    def unseen() -> int:
        answer = orchestrator_command("plan", file_of(values))
        assert answer.returncode == 0, answer.stderr
        [line] = [line for line in answer.stdout.splitlines() if line.startswith("features")]
        return int(line.split()[1].replace(",", ""))

    without = unseen()
    values["data"]["unlabeled"] = {"kind": "parquet", "path": str(camera)}
    assert unseen() == without + NUM_NEW + 4, "what is left out lies among the others"


def test_describe_reads_every_image_without_labels_and_counts_those_a_run_would_use(
    case: dict[str, Any], orchestrator_command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, image in enumerate(noise(4, (3, 10, 20))):
        (folder / f"{number}.png").write_bytes(png(image))
    case["data"]["unlabeled"] = {"kind": "image_folder", "path": str(folder)}
    answer = orchestrator_command("data", "describe", file_of(case))
    assert answer.returncode == 0, answer.stderr
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    place = lines.index("unlabeled folder: 4 images without labels")
    assert lines[place + 1 : place + 4] == [
        "sizes 20x10 (4)",
        "modes RGB (4)",
        "a run uses 4 images without labels",
    ]
    (folder / "torn.png").write_bytes(b"")
    answer = orchestrator_command("data", "describe", file_of(case))
    assert "note: 1 of the images without labels cannot be used, the first:" in answer.stdout
    assert f"a run would fail: {folder}/torn.png: cannot be decoded" in answer.stdout


# --- user errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unlabeled", "said"),
    [
        ({"kind": "parquet", "path": "/nowhere.parquet"}, "/nowhere.parquet: no such file"),
        ({"kind": "image_folder", "path": "/nowhere"}, "/nowhere: no such folder"),
        ({"kind": "image_folder", "path": "{folder}"}, "holds no images"),
        ({"kind": "parquet", "path": "{table}"}, "has no column 'image'"),
        ({"kind": "parquet", "path": "{torn}"}, "is not a readable Parquet file"),
        ({"kind": "parquet", "path": "{test}"}, "each of the 2 unlabelled images is a test"),
        ({"kind": "digits"}, "data.unlabeled.kind = 'digits' is not known"),
        ({"path": "x.parquet"}, "data.unlabeled.kind is missing"),
        ({"kind": "labeled", "source": {"kind": "digits", "split": 1}}, "source.split is not a"),
    ],
)
def test_invalid_images_without_labels_are_one_error_before_anything_is_computed(
    unlabeled: dict[str, Any],
    said: str,
    case: dict[str, Any],
    orchestrator_command: Command,
    tmp_path: Path,
    digits_table: ImageTable,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "folder").mkdir()
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"pixels": [1]}), tmp_path / "table.parquet")
    known = digits_table.images[np.flatnonzero(digits_table.is_test)[:2]]
    write_unlabeled(tmp_path / "test.parquet", known)
    places = {name: tmp_path / f"{name}.parquet" for name in ("torn", "table", "test")}
    case["data"]["unlabeled"] = {
        key: value.format(folder=tmp_path / "folder", **places) if isinstance(value, str) else value
        for key, value in unlabeled.items()
    }
    answer = orchestrator_command("run", file_of(case), "--output", "out")
    assert answer.returncode == 2, answer.stderr
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not Path("out").exists()
