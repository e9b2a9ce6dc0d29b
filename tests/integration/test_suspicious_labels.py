"""Labels that a run doubts: found among digits of which some are in the wrong folder, and shown in
every output.
"""

from __future__ import annotations

import base64
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from sklearn.datasets import load_digits

from orchestrator import run
from orchestrator.config import Experiment
from orchestrator.pipelines.run.run import RunResult

if TYPE_CHECKING:
    import subprocess

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SHARE_WRONG = 0.2
CLASSES = 6


class Doubting(NamedTuple):
    """A run on digits with a fifth of wrong labels; files with a wrong label are called
    `…-wrong.png`.
    """

    result: RunResult
    file: Path

    @property
    def lines(self) -> list[dict[str, str]]:
        with (self.result.output_dir / "suspicious_labels.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def write_digits(folder: Path) -> None:
    """Write six classes, with a fifth of the training images in another class's folder."""
    digits, random = load_digits(n_class=CLASSES), np.random.default_rng(0)
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        is_test = number % 4 == 0
        is_wrong = not is_test and random.random() < SHARE_WRONG
        given = (label + random.integers(1, CLASSES)) % CLASSES if is_wrong else label
        place = folder / ("test" if is_test else "train") / str(given)
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * 15.9).astype(np.uint8))
        image.save(place / f"{number}{'-wrong' if is_wrong else ''}.png")


@pytest.fixture(scope="module")
def doubting(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[Path], str]
) -> Doubting:
    folder = tmp_path_factory.mktemp("doubting")
    write_digits(folder / "digits")
    values = {
        "name": "doubting",
        "data": {
            "kind": "image_folder",
            "train": str(folder / "digits/train"),
            "test": str(folder / "digits/test"),
            "image_size": 8,
            "num_channels": 1,
            "cache_dir": str(folder / "cache"),
        },
        "scenario": {
            "num_base_classes": 2,
            "classes_per_task": 2,
            "class_order": [str(c) for c in range(CLASSES)],
        },
        "teacher": {"training": {"epochs": 4}, "refinement": {"epochs": 2}, "num_views": 1},
        "student": {"training": {"epochs": 4}},
        "execution": {"kind": "in_process", "num_threads": 1, "device": "cpu"},
        "store": {"uri": str(folder / "store")},
        "tracking": {
            "uri": new_database(folder),
            "spool": str(folder / "spool"),
            "models": "none",
        },
    }
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(values))
    return Doubting(run(Experiment.model_validate(values), folder / "output"), file)


def test_wrong_labels_are_far_more_frequent_among_the_most_doubted_ones(doubting: Doubting) -> None:
    """In a random order, a fifth of the listed labels would be wrong. Any trained model
    distinguishes a digit in the wrong folder from the others there.
    """
    num_judged = doubting.result.summary["suspicious_labels"]["num_judged"]
    top = doubting.lines[: num_judged // 20]
    wrong = [line["image"].endswith("-wrong.png") for line in top]
    assert len(top) == num_judged // 20
    assert sum(wrong) / len(wrong) > 3 * SHARE_WRONG


def test_a_line_names_the_image_its_label_and_both_models_predictions(doubting: Doubting) -> None:
    scenario = doubting.result.work.scenario
    for line in doubting.lines:
        path, row = Path(line["image"]), int(line["row"])
        assert path.is_file()
        assert path.parent.name == line["label"] == scenario.table.labels[row]
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(scenario.table.images[row][0], pixels)
        assert {line["teacher_says"], line["student_says"]} != {line["label"]}
        believed = float(line["teacher_believes"]) + float(line["student_believes"])
        assert float(line["doubt"]) == pytest.approx(1 - believed / 2, abs=2e-4)
    doubts = [float(line["doubt"]) for line in doubting.lines]
    assert doubts == sorted(doubts, reverse=True)


def test_the_summary_counts_judged_and_contradicted_labels(doubting: Doubting) -> None:
    summary = json.loads((doubting.result.output_dir / "summary.json").read_text())
    counts = summary["suspicious_labels"]
    assert set(counts) == {
        "num_judged",
        "num_contradicted",
        "num_contradicted_by_both",
        "num_listed",
    }
    scenario = doubting.result.work.scenario
    judged = next(iter(scenario.indices.values()))
    assert counts["num_judged"] == sum(map(len, judged))
    assert counts["num_listed"] == len(doubting.lines) <= 100
    assert counts["num_contradicted_by_both"] <= counts["num_contradicted"]


def test_list_and_sheet_are_artifacts_of_the_run(doubting: Doubting) -> None:
    client = MlflowClient(yaml.safe_load(doubting.file.read_text())["tracking"]["uri"])
    run_id = doubting.result.summary["run_id"]
    top = {file.path for file in client.list_artifacts(run_id)}
    drawn = {file.path for file in client.list_artifacts(run_id, "figures")}
    assert "suspicious_labels.csv" in top
    assert "figures/suspicious_labels.png" in drawn


def test_both_reports_show_the_sheet_and_the_first_labels(
    doubting: Doubting, tmp_path: Path, orchestrator_command: Command
) -> None:
    output, uri = tmp_path / "report.html", doubting.result.work.experiment.tracking.uri
    answer = orchestrator_command(
        "report",
        doubting.result.summary["run_id"],
        "--output",
        str(output),
        "--tracking-uri",
        str(uri),
    )
    assert answer.returncode == 0, answer.stderr
    sheet = doubting.result.output_dir / "figures/suspicious_labels.png"
    for page in (output, doubting.result.output_dir / "report.html"):
        html = page.read_text(encoding="utf-8")
        found = re.search(r"data:image/png;base64,([\w+/=]+)", html)
        assert found
        assert base64.b64decode(found[1]) == sheet.read_bytes()
        assert Path(doubting.lines[0]["image"]).name in re.sub(r"<wbr>", "", html)


def test_describe_shows_the_labels_that_a_run_doubts(
    doubting: Doubting, orchestrator_command: Command
) -> None:
    run_id = doubting.result.summary["run_id"]
    answer = orchestrator_command("data", "describe", str(doubting.file), "--run", run_id[:12])
    assert answer.returncode == 0, answer.stderr
    assert "most suspicious labels" in answer.stdout
    counts = doubting.result.summary["suspicious_labels"]
    said = f"both contradict {counts['num_contradicted_by_both']}; its suspicious_labels.csv"
    assert said in answer.stdout
    assert "other images" not in answer.stdout


def test_describe_reports_if_the_labels_belong_to_other_images(
    doubting: Doubting, orchestrator_command: Command
) -> None:
    run_id = doubting.result.summary["run_id"]
    smaller = ("--set", "data.image_size=9")
    answer = orchestrator_command("data", "describe", str(doubting.file), "--run", run_id, *smaller)
    assert answer.returncode == 0, answer.stderr
    assert "learned from other images" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--run", "0123456789ab"), "there is no run 0123456789ab"),
        (("--run", "no id"), "is not a run id"),
    ],
)
def test_describe_rejects_an_unknown_run(
    arguments: tuple[str, ...], said: str, doubting: Doubting, orchestrator_command: Command
) -> None:
    answer = orchestrator_command("data", "describe", str(doubting.file), *arguments)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_describe_accepts_a_run_only_with_an_experiment(
    doubting: Doubting, orchestrator_command: Command
) -> None:
    folder = yaml.safe_load(doubting.file.read_text())["data"]["train"]
    answer = orchestrator_command("data", "describe", folder, "--run", "0123")
    assert answer.returncode == 2
    assert "--run needs an experiment file" in answer.stderr


def test_a_run_without_contradicted_labels_writes_an_empty_list_and_no_sheet(
    doubting: Doubting, tmp_path: Path
) -> None:
    from orchestrator.pipelines.run.suspicious_labels import Suspicions, write_suspicions

    sheet = tmp_path / "figures/suspicious_labels.png"
    sheet.parent.mkdir()
    sheet.write_bytes(b"of an earlier run")
    work = doubting.result.work
    written = write_suspicions(tmp_path, Suspicions({}, []), work.scenario, work.store)
    assert [path.name for path in written] == ["suspicious_labels.csv"]
    assert not sheet.exists()
    assert written[0].read_text().startswith("row,image,label,doubt,")
