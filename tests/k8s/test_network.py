"""The network policies allow only required connections."""

from pathlib import Path

import pytest

from tests.k8s.network import Peer, lets_through
from tests.k8s.rendering import OVERLAYS, render
from tests.k8s.submitted import head, own, submitter, tick, worker

STRANGER = Peer({"app": "stranger"})
OPERATOR = Peer({"app.kubernetes.io/name": "kuberay-operator"}, namespace="kuberay-system")
DNS = Peer({"k8s-app": "kube-dns"}, namespace="kube-system")
API_SERVER = Peer(address="172.18.0.2")
INTERNET = Peer(address="203.0.113.7")
DATABASE_SERVER = Peer(address="10.1.2.3")
METADATA = Peer(address="169.254.169.254")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_required_connections_are_allowed(overlay: str) -> None:
    objects = render(overlay)
    mlflow = own(objects, "Deployment", "mlflow")
    needed = {
        "a worker to the head": (worker(overlay), head(overlay), 6379),
        "the head to a worker's random port": (head(overlay), worker(overlay), 31234),
        "a job to MLflow": (head(overlay), mlflow, 5000),
        "a worker to MLflow": (worker(overlay), mlflow, 5000),
        "the operator to the dashboard": (OPERATOR, head(overlay), 8265),
        "the submitter to the dashboard": (submitter(overlay), head(overlay), 8265),
        "a person's shell to MLflow": (own(objects, "CronJob", "shell"), mlflow, 5000),
        "a schedule to Kubernetes": (tick(overlay), API_SERVER, 6443),
        "the head of a sweep, which grows, to Kubernetes": (
            head(overlay, "RayJob sweep"),
            API_SERVER,
            6443,
        ),
    }
    assert [
        name
        for name, (source, target, port) in needed.items()
        if not lets_through(objects, source, target, port)
    ] == []
    for peer in (
        worker(overlay),
        submitter(overlay),
        tick(overlay),
        mlflow,
        own(objects, "CronJob", "store-gc"),
    ):
        assert lets_through(objects, peer, DNS, 53, "UDP")
        assert lets_through(objects, peer, DNS, 53)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_other_connections_are_denied(overlay: str) -> None:
    objects = render(overlay)
    mlflow = own(objects, "Deployment", "mlflow")
    denied = {
        "a stranger to MLflow": (STRANGER, mlflow, 5000),
        "another namespace to MLflow": (
            Peer(head(overlay).labels, namespace="elsewhere"),
            mlflow,
            5000,
        ),
        "the submitter to MLflow": (submitter(overlay), mlflow, 5000),
        "a stranger to the dashboard": (STRANGER, head(overlay), 8265),
        "a schedule to the dashboard": (tick(overlay), head(overlay), 8265),
        "another operator to the dashboard": (
            Peer({"app.kubernetes.io/name": "other"}, namespace="kuberay-system"),
            head(overlay),
            8265,
        ),
        "an operator elsewhere to the dashboard": (
            Peer(OPERATOR.labels, namespace="elsewhere"),
            head(overlay),
            8265,
        ),
        "the operator to the head's own port": (OPERATOR, head(overlay), 6379),
        "the submitter to the head's own port": (submitter(overlay), head(overlay), 6379),
        "a person's shell to the dashboard": (
            own(objects, "CronJob", "shell"),
            head(overlay),
            8265,
        ),
        "MLflow to jobs": (mlflow, head(overlay), 8265),
        "a job to Kubernetes": (head(overlay), API_SERVER, 6443),
        "a schedule to the metadata service": (tick(overlay), METADATA, 443),
        "a stranger to the internet": (STRANGER, INTERNET, 443),
        "a worker to any port outside": (worker(overlay), INTERNET, 80),
        "a worker to the metadata service": (worker(overlay), METADATA, 443),
    }
    assert [
        name
        for name, (source, target, port) in denied.items()
        if lets_through(objects, source, target, port)
    ] == []


@pytest.mark.parametrize("overlay", ["local", "gpu"])
def test_only_mlflow_and_its_maintenance_jobs_reach_the_database(overlay: str) -> None:
    objects = render(overlay)
    database = own(objects, "StatefulSet", "postgres")
    tending = [
        own(objects, "CronJob", name)
        for name in ("postgres-backup", "postgres-restore", "mlflow-upgrade")
    ]
    assert all(
        lets_through(objects, peer, database, 5432)
        for peer in (own(objects, "Deployment", "mlflow"), *tending)
    )
    others = (
        head(overlay),
        worker(overlay),
        submitter(overlay),
        tick(overlay),
        STRANGER,
        OPERATOR,
        own(objects, "CronJob", "store-gc"),
    )
    assert not any(lets_through(objects, peer, database, 5432) for peer in others)


def test_studies_are_reachable_for_the_dashboard_and_for_jobs_with_their_secret(
    tmp_path: Path,
) -> None:
    config = tmp_path / "studies.yaml"
    config.write_text("secrets: {studies: studies}")
    jobs = [worker(str(config)), head(str(config))]
    objects = render("local", "dashboard")
    database, dashboard = (
        own(objects, "StatefulSet", "postgres"),
        own(objects, "Deployment", "dashboard"),
    )
    tending = own(objects, "CronJob", "studies-database")
    for peer in (*jobs, dashboard, tending):
        assert lets_through(objects, peer, database, 5432)
        assert lets_through(render("production", "dashboard"), peer, DATABASE_SERVER, 5432)
        assert not lets_through(objects, peer, INTERNET, 443)
    assert not any(lets_through(render("local"), peer, database, 5432) for peer in jobs)
    assert not lets_through(objects, worker("local"), database, 5432)
    # the dashboard has no passwords: only `kubectl port-forward` reaches it
    for peer in (STRANGER, *jobs, own(objects, "CronJob", "shell")):
        assert not lets_through(objects, peer, dashboard, 8080)


@pytest.mark.parametrize("overlay", ["local", "gpu"])
def test_without_a_bucket_nothing_reaches_the_internet(overlay: str) -> None:
    objects = render(overlay)
    workloads = {
        "mlflow": "Deployment",
        "postgres": "StatefulSet",
        "store-gc": "CronJob",
        "shell": "CronJob",
    }
    for peer in (
        head(overlay),
        worker(overlay),
        *(own(objects, kind, name) for name, kind in workloads.items()),
    ):
        assert not lets_through(objects, peer, INTERNET, 443)


def test_the_internet_component_lets_jobs_of_every_cluster_out(tmp_path: Path) -> None:
    """For images in a bucket, or a webhook, with a stage store on a volume."""
    for secret in ("object_storage", "webhook"):
        config = tmp_path / f"{secret}.yaml"
        config.write_text(f"secrets: {{{secret}: a-secret}}")
        peers = [worker(str(config)), head(str(config))]
        assert not any(lets_through(render("local"), peer, INTERNET, 443) for peer in peers)
        assert all(
            lets_through(render("local", "object-storage"), peer, INTERNET, 443) for peer in peers
        )
    assert not lets_through(render("local", "object-storage"), worker("local"), INTERNET, 443)


def test_production_reaches_its_database_and_its_bucket() -> None:
    objects = render("production")
    mlflow, upgrade = (
        own(objects, "Deployment", "mlflow"),
        own(objects, "CronJob", "mlflow-upgrade"),
    )
    assert all(lets_through(objects, peer, DATABASE_SERVER, 5432) for peer in (mlflow, upgrade))
    assert not lets_through(objects, worker("production"), DATABASE_SERVER, 5432)
    for peer in (
        mlflow,
        head("production"),
        worker("production"),
        own(objects, "CronJob", "store-gc"),
    ):
        assert lets_through(objects, peer, INTERNET, 443)
