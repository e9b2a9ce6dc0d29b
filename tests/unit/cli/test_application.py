"""What `orchestrator` says of itself: its version, and its commands."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_version_is_that_of_the_installed_package(orchestrator_command: Command) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = orchestrator_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"orchestrator {project['version']}\n",
        "",
    )


def test_the_help_of_the_whole_names_the_version_option(orchestrator_command: Command) -> None:
    done = orchestrator_command("--help")
    assert done.returncode == 0
    assert "--version" in done.stdout
    assert "Image classifiers that keep learning new classes" in done.stdout
