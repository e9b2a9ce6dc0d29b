"""`make images` writes images by digest, with the tag in a comment.

No Docker daemon runs here: `docker` is a script that writes the file that buildx documents
(https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.config import load_cluster
from tests.k8s.rendering import K8S, Object, kubectl, pod_template

ROOT = K8S.parent
DIGESTS = {"orchestrator": f"sha256:{'19ff' * 16}", "mlflow": f"sha256:{'2937' * 16}"}
NAMES = {"orchestrator": "continual-orchestrator", "mlflow": "continual-orchestrator-mlflow"}


def metadata(target: str) -> Object:
    digest = DIGESTS[target]
    return {
        "buildx.build.ref": f"mybuilder/mybuilder0/{target}",
        "containerimage.config.digest": f"sha256:{'ab' * 32}",
        "containerimage.descriptor": {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest,
            "size": 856,
        },
        "containerimage.digest": digest,
        "image.name": f"registry.example.org:5000/team/{NAMES[target]}:0.2.0",
    }


DOCKER = """#!/bin/sh
echo "$@" >> "$RECORDS/calls"
while [ $# -gt 0 ]; do
    case $1 in --target) target=$2 ;; --metadata-file) file=$2 ;; esac
    shift
done
cp "$RECORDS/$target.json" "$file"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with everything that `make images` reads, and a `docker` for its PATH."""
    shutil.copytree(K8S, tmp_path / "k8s")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "records").mkdir()
    for target in DIGESTS:
        (tmp_path / "records" / f"{target}.json").write_text(json.dumps(metadata(target)))
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return tmp_path


def make_images(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["make", "images", f"BIN={Path(sys.executable).parent}", *words],
        cwd=checkout,
        env=os.environ | {"PATH": path, "RECORDS": str(checkout / "records")},
        capture_output=True,
        text=True,
        check=False,
    )


def images_of(overlay: Path) -> set[str]:
    done = subprocess.run(
        [kubectl(), "kustomize", str(overlay)], capture_output=True, text=True, check=True
    )
    return {
        container["image"]
        for each in yaml.safe_load_all(done.stdout)
        if (template := pod_template(each))
        for container in template["spec"]["containers"]
        if "continual-" in container["image"]
    }


@pytest.mark.parametrize("overlay", ["production", "gpu"])
def test_pushed_images_are_installed_by_their_digests(checkout: Path, overlay: str) -> None:
    place = "registry.example.org:5000/team"
    done = make_images(checkout, f"REGISTRY={place}", "TAG=0.2.0", f"OVERLAY={overlay}")
    assert done.returncode == 0, done.stderr
    calls = (checkout / "records" / "calls").read_text().splitlines()
    assert [call.split()[:3] for call in calls] == [["buildx", "build", "--push"]] * 2
    for target, call in zip(NAMES, calls, strict=True):
        assert f"--target {target} " in call
        assert f"--tag {place}/{NAMES[target]}:0.2.0 " in call
    folder = checkout / "k8s" / "overlays" / overlay
    wanted = {NAMES[target]: f"{place}/{NAMES[target]}:0.2.0@{DIGESTS[target]}" for target in NAMES}
    assert images_of(folder) == set(wanted.values())
    before = load_cluster(K8S / "overlays" / overlay / "cluster.yaml", None)
    after = load_cluster(folder / "cluster.yaml", None)
    assert after == before.model_copy(update={"image": wanted["continual-orchestrator"]})
    assert make_images(checkout, f"REGISTRY={place}", f"OVERLAY={overlay}").returncode == 0


def test_images_that_were_not_pushed_change_nothing(checkout: Path) -> None:
    folder = checkout / "k8s" / "overlays" / "production"
    before = {file.name: file.read_text() for file in folder.iterdir()}
    done = make_images(checkout)
    assert done.returncode == 2
    assert "REGISTRY is not set" in done.stderr
    record = checkout / "records" / "mlflow.json"
    for wrong in (
        {"containerimage.digest": "sha256:12"},
        {"image.name": "continual-orchestrator-mlflow:0.2.0"},
        {"image.name": "registry.example.org/another:0.2.0"},
        {"image.name": "registry.example.org/continual-orchestrator:0.2.0"},
    ):
        record.write_text(json.dumps(metadata("mlflow") | wrong))
        done = make_images(checkout, "REGISTRY=registry.example.org")
        assert done.returncode == 2
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr
    record.write_text("{}")
    assert "not the metadata of a pushed build" in make_images(checkout, "REGISTRY=r.org").stderr
    assert {file.name: file.read_text() for file in folder.iterdir()} == before
