"""In a pod every line is JSON with the same fields; elsewhere it is plain text."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from orchestrator.config import Experiment

FIELDS = {"time", "level", "run", "task", "stage", "message"}
_LOGS = """
import logging, warnings
from orchestrator.terminal.lines import line_writer, log_as_json
log_as_json()
lines = line_writer()
logging.getLogger("orchestrator.stages").warning("early")
lines.write("begins", "info", "run-1", 2, "teacher[2]")
logging.getLogger("orchestrator.stages").warning("moved %s aside", "x")
logging.getLogger("orchestrator.stages").info("not worth a line")
warnings.warn("deprecated")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("ray").exception("broken")
lines.write("two\\nlines, and ünïcode")
"""


def in_a_pod(*command: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=cwd,
    )


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_progress_warnings_and_tracebacks_are_one_object_a_line() -> None:
    answer = in_a_pod("-c", _LOGS)
    said, trouble = objects(answer.stdout), objects(answer.stderr)
    assert all(set(line) == FIELDS for line in [*said, *trouble])
    assert [(line["level"], line["message"]) for line in said] == [
        ("info", "begins"),
        ("info", "two\nlines, and ünïcode"),
    ]
    assert (said[0]["run"], said[0]["task"], said[0]["stage"]) == ("run-1", 2, "teacher[2]")
    assert [line["level"] for line in trouble] == ["warning", "warning", "warning", "error"]
    assert [line["run"] for line in trouble] == [None, "run-1", "run-1", "run-1"]
    assert "ZeroDivisionError" in trouble[-1]["message"]
    assert "deprecated" in trouble[2]["message"]


def test_in_a_terminal_warnings_stay_visible_after_libraries_set_up_logging() -> None:
    code = (
        "import logging; from orchestrator.terminal.lines import log_as_text; log_as_text(); import"
        " mlflow.pytorch\nlogging.getLogger('orchestrator.stages').warning('seen once')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (answer.stdout, answer.stderr) == ("", "seen once\n")


def test_an_error_of_the_command_is_one_object(tmp_path: Path) -> None:
    answer = in_a_pod("-m", "orchestrator", "run", str(tmp_path / "nonesuch.yaml"))
    [line] = objects(answer.stderr)
    assert (answer.returncode, answer.stdout, line["level"], set(line)) == (2, "", "error", FIELDS)
    assert "no such file" in line["message"]


def test_yaml_stays_yaml_in_a_pod() -> None:
    experiment = Path(__file__).parents[3] / "experiments" / "digits.yaml"
    answer = in_a_pod("-m", "orchestrator", "submit", "run", str(experiment), "--dry-run")
    assert [document["kind"] for document in yaml.safe_load_all(answer.stdout)] == [
        "ConfigMap",
        "RayJob",
    ]


@pytest.mark.slow
def test_lines_of_a_run_name_run_task_and_stage(
    tiny_experiment: "Experiment", tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    values = tiny_experiment.model_dump(mode="json") | {"store": {"uri": str(tmp_path / "store")}}
    file.write_text(yaml.safe_dump(values))
    answer = in_a_pod("-m", "orchestrator", "run", str(file), "--output", str(tmp_path / "out"))
    assert answer.returncode == 0, answer.stderr
    lines = objects(answer.stdout)
    run = json.loads((tmp_path / "out" / "summary.json").read_text())["run_id"]
    assert {line["run"] for line in lines} == {run}
    stages = [(line["task"], line["stage"]) for line in lines if "has learned" in line["message"]]
    assert sorted(stages) == [
        (task, f"{role}[{task}]") for task in range(3) for role in ("student", "teacher")
    ]
    assert all(line["run"] == run for line in lines if "has learned" in line["message"])
