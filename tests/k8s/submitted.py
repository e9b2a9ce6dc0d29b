"""Pods of jobs as `orchestrator submit` renders them for an overlay, with the labels that KubeRay
and Kubernetes add.
"""

import functools

import yaml
from typer.testing import CliRunner

from orchestrator.cli.application import build_application
from tests.k8s.network import Peer
from tests.k8s.rendering import K8S, Object, named, pod_template

ROOT = K8S.parent
_COMMANDS = {
    "RayJob run": ("run", f"{ROOT}/experiments/digits.yaml"),
    "RayJob sweep": (
        "sweep",
        f"{ROOT}/search_spaces/smoke.yaml",
        f"{ROOT}/experiments/digits.yaml",
    ),
    "CronJob": (
        "retrain",
        f"{ROOT}/experiments/retraining_digits.yaml",
        "--schedule",
        "0 3 * * *",
        "--set",
        "source.path=s3://bucket/in",
    ),
}
_OF_RAY = {"ray.io/is-ray-node": "yes", "ray.io/cluster": "digits"}


@functools.cache
def submitted(overlay: str, command: str) -> Object:
    """Return the job or schedule that a command submits, for an overlay or with another
    cluster.yaml.
    """
    config = overlay if overlay.endswith(".yaml") else K8S / "overlays" / overlay / "cluster.yaml"
    done = CliRunner().invoke(
        build_application(),
        ["submit", *_COMMANDS[command], "--dry-run", "--cluster-config", str(config)],
    )
    assert done.exit_code == 0, done.output
    [job] = [each for each in yaml.safe_load_all(done.output) if each["kind"] != "ConfigMap"]
    return dict(job)


def head(overlay: str, command: str = "RayJob run") -> Peer:
    """Return the head; a sweep's head grows its cluster."""
    template = submitted(overlay, command)["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    return Peer({**template["metadata"]["labels"], **_OF_RAY, "ray.io/node-type": "head"})


def worker(overlay: str) -> Peer:
    """Return a worker of a run."""
    template = submitted(overlay, "RayJob run")["spec"]["rayClusterSpec"]["workerGroupSpecs"][0][
        "template"
    ]
    return Peer({**template["metadata"]["labels"], **_OF_RAY, "ray.io/node-type": "worker"})


def submitter(overlay: str) -> Peer:
    """Return the pod with which KubeRay submits a job."""
    template = submitted(overlay, "RayJob run")["spec"]["submitterPodTemplate"]
    of_kuberay = {
        "ray.io/originated-from-crd": "RayJob",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    return Peer(
        {
            **template["metadata"]["labels"],
            **of_kuberay,
            "batch.kubernetes.io/job-name": "run-digits",
        }
    )


def tick(overlay: str) -> Peer:
    """Return the small pod of a schedule."""
    template = pod_template(submitted(overlay, "CronJob"))
    assert template is not None
    return Peer(
        {
            **template["metadata"]["labels"],
            "batch.kubernetes.io/job-name": "retrain-digits-29700000",
        }
    )


def own(objects: list[Object], kind: str, name: str) -> Peer:
    """Return the pods of one of the installation's workloads."""
    template = pod_template(named(objects, kind, name))
    assert template is not None
    return Peer(template["metadata"]["labels"])
