"""`orchestrator` prints its version and lists its commands."""

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import typer.main

from orchestrator.cli.application import COMMANDS, COMMANDS_BY_PURPOSE, build_application

ROOT = Path(__file__).parents[3]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_version_equals_the_installed_packages(orchestrator_command: Command) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = orchestrator_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"orchestrator {project['version']}\n",
        "",
    )


def test_the_main_help_names_the_version_option(orchestrator_command: Command) -> None:
    done = orchestrator_command("--help")
    assert done.returncode == 0
    assert "--version" in done.stdout
    assert "Image classifiers that keep learning new classes" in done.stdout


def test_help_lists_every_command_once_by_purpose_and_the_first_steps_first(
    orchestrator_command: Command,
) -> None:
    shown = orchestrator_command("--help").stdout
    purposes = (
        "Learn", "Look at results", "Use a model", "Retrain on a schedule", "Run on Kubernetes",
        "Maintain",
    )  # fmt: skip
    headings = [re.search(rf"─ {purpose} ─", shown) for purpose in purposes]
    starts = [heading.start() for heading in headings if heading]
    assert len(starts) == len(purposes)
    assert starts == sorted(starts)
    assert "─ Commands ─" not in shown
    for command in (*COMMANDS, "data"):
        assert len(re.findall(rf"^│ {command} ", shown, flags=re.MULTILINE)) == 1, command
    assert shown.index("│ run ") < shown.index("│ data ") < starts[1]


def test_every_command_has_a_purpose_and_no_name_is_used_twice() -> None:
    assert set(typer.main.get_group(build_application()).commands) == {*COMMANDS, "data"}
    assert len(COMMANDS) == sum(map(len, COMMANDS_BY_PURPOSE.values()))
