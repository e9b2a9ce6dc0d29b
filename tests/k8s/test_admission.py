"""The admission policies admit the objects of this program and this installation, and deny objects
that would reach MLflow's administrator or its database through a pod.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from orchestrator.config import load_cluster
from tests.k8s.admission import denials
from tests.k8s.rendering import K8S, OVERLAYS, Object, named, of_kind, pod_template, render
from tests.k8s.submitted import submitted
from tests.kubernetes_objects import validate

JOBS, PODS = "orchestrator-jobs", "orchestrator-pods"
COMMANDS = ("RayJob run", "RayJob sweep", "CronJob")


def pod_specs_of(job: Object) -> Iterator[Object]:
    """Return the pod templates of a job or schedule."""
    if job["kind"] == "CronJob":
        yield job["spec"]["jobTemplate"]["spec"]["template"]
        return
    cluster = job["spec"]["rayClusterSpec"]
    yield cluster["headGroupSpec"]["template"]
    yield job["spec"]["submitterPodTemplate"]
    yield from (group["template"] for group in cluster["workerGroupSpecs"])


def pod(template: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}


def ray_cron_job(job: Object) -> Object:
    return {**job, "kind": "RayCronJob", "spec": {"jobTemplate": job["spec"]}}


def test_the_policies_are_valid_and_bound_to_the_namespace() -> None:
    objects = list(yaml.safe_load_all((K8S / "base" / "admission.yaml").read_text()))
    assert validate(objects) == []
    bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    policies = of_kind(objects, "ValidatingAdmissionPolicy")
    assert {each["spec"]["policyName"] for each in bindings} == {
        each["metadata"]["name"] for each in policies
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "orchestrator"}}
    for each in bindings:
        assert each["spec"]["matchResources"] == {"namespaceSelector": selector}
        assert each["spec"]["validationActions"] == ["Deny"]
    for each in policies:
        assert each["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_submitted_objects_are_admitted(overlay: str, command: str) -> None:
    job = submitted(overlay, command)
    changed = {**job, "spec": {**job["spec"], "suspend": True}}
    assert denials(JOBS, job) == denials(JOBS, changed, job) == []
    assert [text for template in pod_specs_of(job) for text in denials(PODS, pod(template))] == []
    if command == "CronJob":
        assert denials(JOBS, None, job) == []
    else:
        assert denials(JOBS, ray_cron_job(job)) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_of_the_installation_are_admitted(overlay: str) -> None:
    objects = render(overlay, "dashboard")
    templates = [template for each in objects if (template := pod_template(each))]
    assert len(templates) >= 3
    assert [text for template in templates for text in denials(PODS, pod(template))] == []


@pytest.mark.parametrize("name", ["postgres-backup", "postgres-restore", "mlflow-upgrade", "shell"])
def test_only_administrators_change_cron_jobs_of_the_installation(name: str) -> None:
    job = named(render("local"), "CronJob", name)
    changed = copy.deepcopy(job)
    changed["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"] = ["env"]
    pretended = copy.deepcopy(changed)
    template = pretended["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    template["serviceAccountName"] = "orchestrator-scheduler"
    for new in (changed, pretended, None):
        [said] = denials(JOBS, new, job)
        assert "those of the installation" in said
        assert denials(JOBS, new, job, may_read_secrets=True) == []
    assert denials(JOBS, {**job, "metadata": {"finalizers": ["x"]}}, job) == []


def as_account(field: str, choose: Callable[[Object], Object]) -> Callable[[Object], object]:
    return lambda job: choose(job["spec"])["spec"].update({field: "mlflow"})


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
@pytest.mark.parametrize(
    "choose",
    [
        lambda spec: spec["submitterPodTemplate"],
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"],
        lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0]["template"],
    ],
    ids=["submitter", "head", "worker"],
)
def test_a_job_cannot_use_another_account(choose: Callable[[Object], Object], field: str) -> None:
    """The second field is the deprecated name of the first, which pods still accept."""
    job = copy.deepcopy(submitted("local", "RayJob run"))
    as_account(field, choose)(job)
    for each in (job, ray_cron_job(job)):
        assert denials(JOBS, each) == ["the pods of a job have the account orchestrator-job"]


def test_a_cron_job_cannot_use_another_account() -> None:
    job = copy.deepcopy(submitted("local", "CronJob"))
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = "database"
    assert len(denials(JOBS, job)) == 1
    del job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"]
    assert len(denials(JOBS, job)) == 1


CONTROLLERS: list[Object] = [
    {"username": "system:kube-controller-manager"},
    {
        "username": "system:serviceaccount:kube-system:cronjob-controller",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system"],
    },
]


def job_of(schedule: Object) -> Object:
    """Return the job that `kubectl create job manual --from=cronjob/NAME` creates."""
    name = schedule["metadata"]["name"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": "1"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "manual", "ownerReferences": [owner]},
        "spec": copy.deepcopy(schedule["spec"]["jobTemplate"]["spec"]),
    }


def test_a_researcher_starts_a_schedules_job_by_hand_but_none_of_mlflows() -> None:
    role = named(render("local"), "Role", "orchestrator-researcher")
    [verbs] = [rule["verbs"] for rule in role["rules"] if rule["resources"] == ["jobs"]]
    assert set(verbs) == {"create", "get", "list", "watch"}

    job = job_of(submitted("local", "CronJob"))
    assert denials(JOBS, job) == denials(PODS, pod(job["spec"]["template"])) == []
    for field in ("serviceAccountName", "serviceAccount"):
        borrowed = copy.deepcopy(job)
        borrowed["spec"]["template"]["spec"][field] = "database"
        assert len(denials(JOBS, borrowed)) == 1
    for name in ("postgres-backup", "postgres-restore", "mlflow-upgrade"):
        job = job_of(named(render("local"), "CronJob", name))
        [said] = denials(JOBS, job)
        assert "started by its administrators" in said
        assert denials(JOBS, job, may_read_secrets=True) == []
        assert [denials(JOBS, job, user=user) for user in CONTROLLERS] == [[], []]


def test_an_autoscaling_head_cannot_use_another_account() -> None:
    """KubeRay gives the head of an autoscaling cluster the right to change every RayCluster."""
    spec = submitted("local", "RayJob sweep")["spec"]["rayClusterSpec"]
    cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {}, "spec": spec}
    grown = copy.deepcopy(cluster)
    grown["spec"]["workerGroupSpecs"][0]["replicas"] = 2
    assert denials(JOBS, cluster) == denials(JOBS, grown, cluster) == []
    for part in (grown["spec"]["headGroupSpec"], grown["spec"]["workerGroupSpecs"][0]):
        changed = part["template"]["spec"]
        account = changed.get("serviceAccountName")
        changed["serviceAccountName"] = "mlflow"
        [said] = denials(JOBS, grown, cluster)
        assert "RayCluster" in said
        changed["serviceAccountName"] = account or "default"


SECRET = {"name": "mlflow-server"}
VARIABLE = {"name": "X", "valueFrom": {"secretKeyRef": {**SECRET, "key": "admin-password"}}}
DRIVER = {"driver": "x.example.org", "nodePublishSecretRef": SECRET}
REACHES: dict[str, Callable[[Any], object]] = {
    "envFrom": lambda pod: container(pod).update(envFrom=[{"secretRef": SECRET}]),
    "env": lambda pod: container(pod).setdefault("env", []).append(VARIABLE),
    "an init container": lambda pod: pod["spec"].update(
        initContainers=[{"name": "a", "image": "b", "envFrom": [{"secretRef": SECRET}]}]
    ),
    "a volume": lambda pod: volume(pod, {"secret": {"secretName": "mlflow-database"}}),
    "a projected volume": lambda pod: volume(
        pod, {"projected": {"sources": [{"secret": {"name": "mlflow-database"}}]}}
    ),
    "a driver of volumes": lambda pod: volume(pod, {"csi": DRIVER}),
    "the backups": lambda pod: volume(
        pod, {"persistentVolumeClaim": {"claimName": "postgres-backups"}}
    ),
    "passing for MLflow": lambda pod: label(pod, "app.kubernetes.io/name", "mlflow"),
    "passing for the database": lambda pod: label(pod, "app.kubernetes.io/name", "postgres"),
    "the way to the database": lambda pod: label(pod, "orchestrator/uses-database", "true"),
}


def container(of: Object) -> Object:
    found: Object = of["spec"]["containers"][0]
    return found


def volume(of: Object, source: Object) -> None:
    of["spec"].setdefault("volumes", []).append({"name": "x", **source})


def label(of: Object, key: str, value: str) -> None:
    of["metadata"].setdefault("labels", {})[key] = value


@pytest.mark.parametrize("name", REACHES)
def test_a_jobs_pod_reaches_nothing_of_mlflows(name: str) -> None:
    made = pod(submitted("local", "RayJob run")["spec"]["submitterPodTemplate"])
    assert denials(PODS, made) == []
    REACHES[name](made)
    assert len(denials(PODS, made)) == 1


def test_jobs_may_use_only_the_secrets_that_cluster_yaml_names() -> None:
    """A role without the right to read Secrets cannot read one through a pod, either."""
    for_jobs = {
        name
        for overlay in OVERLAYS
        for name in load_cluster(K8S / "overlays" / overlay / "cluster.yaml", None).secrets.names
    }
    assert for_jobs == {"mlflow-credentials", "object-storage", "retraining-webhook"}
    for name in (*for_jobs, "mlflow-server", "mlflow-database", "another-one"):
        secret, denied = {"name": name}, 0 if name in for_jobs else 1
        for use in (
            lambda pod, it=secret: container(pod).update(envFrom=[{"secretRef": it}]),
            lambda pod, it=secret: (
                container(pod)
                .setdefault("env", [])
                .append({"name": "X", "valueFrom": {"secretKeyRef": {**it, "key": "auth_token"}}})
            ),
            lambda pod, it=secret: volume(pod, {"secret": {"secretName": it["name"]}}),
            lambda pod, it=secret: volume(pod, {"projected": {"sources": [{"secret": it}]}}),
        ):
            made = pod(submitted("local", "RayJob run")["spec"]["submitterPodTemplate"])
            use(made)
            assert len(denials(PODS, made)) == denied, name


def test_kuberay_may_pass_a_clusters_token_to_its_pods() -> None:
    made = pod(submitted("local", "RayJob run")["spec"]["submitterPodTemplate"])
    token = {"secretKeyRef": {"name": "run-digits-x7k2p", "key": "auth_token"}}
    container(made).setdefault("env", []).append({"name": "RAY_AUTH_TOKEN", "valueFrom": token})
    assert denials(PODS, made) == []
    token["secretKeyRef"]["key"] = "password"
    assert len(denials(PODS, made)) == 1


def test_every_claim_that_only_mlflow_and_its_database_use_is_closed_to_others() -> None:
    """A new claim of theirs must be added to the policy, too."""
    closed: set[str] = set()
    opened: set[str] = set()
    for overlay in OVERLAYS:
        for each in render(overlay):
            if template := pod_template(each):
                is_mlflows = template["spec"]["serviceAccountName"] in ("mlflow", "database")
                (closed if is_mlflows else opened).update(claims_of(each, template["spec"]))
    assert len(closed - opened) == 3
    for name in sorted(closed - opened):
        made = pod(submitted("local", "RayJob run")["spec"]["submitterPodTemplate"])
        volume(made, {"persistentVolumeClaim": {"claimName": name}})
        assert len(denials(PODS, made)) == 1, name


def claims_of(workload: Object, spec: Object) -> Iterator[str]:
    """Return the claims of a workload's pods."""
    for each in spec.get("volumes", []):
        if claim := each.get("persistentVolumeClaim"):
            yield claim["claimName"]
    for each in workload["spec"].get("volumeClaimTemplates", []):
        yield f"{each['metadata']['name']}-{workload['metadata']['name']}-0"
