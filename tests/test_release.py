"""Check a release: one version everywhere, and a wheel that needs no checkout.

`tests/integration/test_cluster_jobs.py` installs the wheel with its locked dependencies into an
empty environment; here it uses those of this environment.
"""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

from tests.starters import try_starters

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]


def test_every_image_has_the_version_of_the_package() -> None:
    files = [
        ROOT / "Dockerfile",
        ROOT / "examples" / "plugin" / "Dockerfile",
        ROOT / "orchestrator" / "config" / "cluster.py",
        *(ROOT / "k8s").rglob("*.yaml"),
        *(ROOT / "k8s").rglob("*.md"),
    ]
    tag = re.compile(
        r"continual-orchestrator(?:-mlflow)?:(\d[\w.]*\w)|newTag: (\S+)|image\.version=\"(\S+)\""
    )
    found = [
        (file.relative_to(ROOT).as_posix(), "".join(match))
        for file in files
        for match in tag.findall(file.read_text())
    ]
    assert len(found) > 10
    assert [place for place in found if place[1] != VERSION] == []
    assert f"\nTAG ?= {VERSION}\n" in (ROOT / "Makefile").read_text()


def test_the_changelog_and_the_citation_name_the_version() -> None:
    newest = re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
    assert citation["license"] == PROJECT["license"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the output of `make dist`."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel"]
    subprocess.run([*build, "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_source_distribution_contains_everything_the_wheel_needs(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
        "orchestrator/py.typed",
        "orchestrator/cli/application.py",
        "orchestrator/reporting/browser_scripts/echarts/echarts.min.js",
        "experiments/digits.yaml",
        "search_spaces/smoke.yaml",
    } <= names


@pytest.mark.slow
def test_the_wheel_alone_runs_its_starters_in_another_folder(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    programs = tmp_path / "env" / "bin"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")}))
    # a bare path: .pth files there, such as that of the checkout, are not read
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    # PYTHONPATH would take precedence over the wheel
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    install = ["-m", "pip", "install", "--no-index", "--no-deps", "--ignore-installed", str(wheel)]
    subprocess.run([str(programs / "python"), *install], env=variables, check=True)
    (tmp_path / "work").mkdir()
    try_starters(programs / "orchestrator", VERSION, tmp_path / "work", variables)
