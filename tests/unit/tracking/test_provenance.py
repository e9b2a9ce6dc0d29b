import subprocess
from pathlib import Path

import pytest

from orchestrator.tracking.provenance import provenance_tags


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text("one\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, *identity, "commit", "-m", "first")
    return tmp_path


def test_a_clean_checkout_gives_its_commit(checkout: Path) -> None:
    tags = provenance_tags(checkout)
    assert tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD")
    assert tags["mlflow.source.git.dirty"] == "false"


def test_a_changed_file_makes_the_checkout_dirty(checkout: Path) -> None:
    (checkout / "code.py").write_text("two\n")
    tags = provenance_tags(checkout)
    assert tags["mlflow.source.git.dirty"] == "true"
    assert len(tags["mlflow.source.git.commit"]) == 40


def test_a_package_installed_inside_another_checkout_has_no_commit(
    checkout: Path,
) -> None:
    installed = checkout / "site-packages"
    installed.mkdir()
    assert "mlflow.source.git.commit" not in provenance_tags(installed)


def test_a_checkout_without_a_commit_is_no_error(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert "mlflow.source.git.commit" not in provenance_tags(tmp_path)
