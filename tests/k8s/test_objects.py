"""Every overlay with every component is accepted by Kubernetes, consistent, and follows this
installation's rules.
"""

import functools
import itertools
import json
from pathlib import Path

import pytest

from orchestrator.config import load_cluster
from tests.k8s.relations import problems_between
from tests.k8s.rendering import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    Object,
    named,
    of_kind,
    pod_template,
    render,
)
from tests.kubernetes_objects import validate

README = (K8S / "README.md").read_text(encoding="utf-8")
# a component that an overlay already includes cannot be added again
ADDABLE = {
    overlay: [name for name in COMPONENTS if (overlay, name) != ("production", "object-storage")]
    for overlay in OVERLAYS
}
INSTALLATIONS = [
    (overlay, components)
    for overlay, names in ADDABLE.items()
    for components in [(), *((name,) for name in names), tuple(names)]
]


def test_overlays_and_components_are_frozen() -> None:
    assert OVERLAYS == ["gpu", "local", "production"]
    assert COMPONENTS == ["dashboard", "kueue", "object-storage", "raycronjob", "spot"]


@pytest.mark.parametrize(
    ("overlay", "components"),
    INSTALLATIONS,
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_every_installation_is_valid_and_consistent(
    overlay: str, components: tuple[str, ...]
) -> None:
    objects = render(overlay, *components)
    assert [problem for each in objects for problem in problems_within(json.dumps(each))] == []
    assert problems_between(objects, README) == []


@functools.cache
def problems_within(text: str) -> list[str]:
    """Return the problems of one object; cached, as loading schemas takes long and most objects are
    in every installation.
    """
    return validate([json.loads(text)])


def test_the_rights_of_a_schedule_are_frozen() -> None:
    role = named(render("local"), "Role", "orchestrator-scheduler")
    assert {
        (*rule["apiGroups"], *rule["resources"]): set(rule["verbs"]) for rule in role["rules"]
    } == {
        ("ray.io", "rayjobs"): {"create", "get", "list", "delete"},
        ("", "configmaps"): {"create", "get"},
        ("", "pods"): {"list"},
        ("", "pods/log"): {"get"},
    }


def test_a_researcher_cannot_change_or_delete_config_maps() -> None:
    """MLflow's pod runs a script from one, as MLflow's administrator."""
    for components in ((), ("raycronjob",)):
        role = named(render("local", *components), "Role", "orchestrator-researcher")
        verbs = [rule["verbs"] for rule in role["rules"] if "configmaps" in rule["resources"]]
        assert verbs == [["create", "get", "list", "watch"]]


def test_only_the_schedule_has_rights_and_only_within_the_namespace() -> None:
    for overlay in OVERLAYS:
        [binding] = of_kind(render(overlay), "RoleBinding")
        assert [subject["name"] for subject in binding["subjects"]] == ["orchestrator-scheduler"]


def test_ray_cron_jobs_may_be_created_only_with_their_component_and_always_removed() -> None:
    """A leftover RayCronJob must not start ticks unnoticed in addition to a CronJob."""

    def rights(*components: str) -> set[str]:
        role = named(render("gpu", *components), "Role", "orchestrator-researcher")
        rules = [rule for rule in role["rules"] if "raycronjobs" in rule["resources"]]
        return set(itertools.chain.from_iterable(rule["verbs"] for rule in rules))

    assert rights() == {"get", "list", "watch", "delete"}
    assert rights("raycronjob") - rights() == {"create", "patch"}


def test_manually_started_jobs_are_not_retried() -> None:
    """A person must inspect a migration or a restore that failed halfway."""
    jobs = {each["metadata"]["name"]: each["spec"] for each in of_kind(render("local"), "CronJob")}
    retried = {
        name: (bool(spec.get("suspend")), spec["jobTemplate"]["spec"]["backoffLimit"])
        for name, spec in jobs.items()
    }
    by_hand, by_night = (True, 0), (False, 1)
    assert retried == {
        "mlflow-upgrade": by_hand,
        "postgres-restore": by_hand,
        "shell": by_hand,
        "postgres-backup": by_night,
        "store-gc": by_night,
    }


def test_production_stores_nothing_in_the_cluster() -> None:
    objects = render("production")
    assert of_kind(objects, "PersistentVolumeClaim", "StatefulSet") == []
    settings = named(objects, "ConfigMap", "mlflow-settings")["data"]
    assert settings["PGSSLMODE"] == "verify-full"
    assert settings["MLFLOW_ARTIFACTS_DESTINATION"].startswith("s3://")
    assert named(objects, "ConfigMap", "orchestrator-settings")["data"][
        "ORCHESTRATOR_STORE_URI"
    ].startswith("s3://")
    assert named(objects, "Deployment", "mlflow")["spec"]["replicas"] == 2


def test_the_spot_overlay_keeps_everything_else_off_spot_nodes() -> None:
    for workload in of_kind(render("production", "spot"), "Deployment", "StatefulSet"):
        assert {
            "cloud.google.com/gke-spot",
            "karpenter.sh/capacity-type",
            "nvidia.com/gpu.present",
        } <= set(_node_expressions(workload))


def test_no_permanent_pod_uses_a_gpu_node() -> None:
    for overlay in OVERLAYS:
        for workload in of_kind(render(overlay), "Deployment", "StatefulSet", "CronJob"):
            assert _node_expressions(workload)["nvidia.com/gpu.present"] == "DoesNotExist"


def _node_expressions(workload: Object) -> dict[str, str]:
    template = pod_template(workload)
    assert template is not None
    [term] = template["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    return {each["key"]: each["operator"] for each in term["matchExpressions"]}


def test_queues_refer_to_each_other_and_cover_the_resources_of_jobs() -> None:
    objects = render("gpu", "kueue")
    [queue], [cluster_queue] = of_kind(objects, "LocalQueue"), of_kind(objects, "ClusterQueue")
    assert queue["spec"]["clusterQueue"] == cluster_queue["metadata"]["name"]
    [group] = cluster_queue["spec"]["resourceGroups"]
    assert set(group["coveredResources"]) == {"cpu", "memory", "nvidia.com/gpu"}
    assert [flavor["name"] for flavor in group["flavors"]] == [
        flavor["metadata"]["name"] for flavor in of_kind(objects, "ResourceFlavor")
    ]
    for flavor in group["flavors"]:
        assert [resource["name"] for resource in flavor["resources"]] == group["coveredResources"]
    resources = [each for flavor in group["flavors"] for each in flavor["resources"]]
    quota = named(objects, "ResourceQuota", "gpus")["spec"]["hard"]["requests.nvidia.com/gpu"]
    assert int(quota) >= sum(
        int(each["nominalQuota"]) for each in resources if each["name"] == "nvidia.com/gpu"
    )


@pytest.mark.parametrize(
    "file", sorted(K8S.rglob("cluster.yaml")), ids=lambda file: str(file.relative_to(K8S))
)
def test_cluster_configurations_fit_their_overlays_installation(file: Path) -> None:
    cluster = load_cluster(file)
    objects = render(file.parent.name if file.parent.parent.name == "overlays" else "gpu")
    for account in (cluster.service_account, cluster.scheduler_account):
        named(objects, "ServiceAccount", account)
    assert cluster.namespace == "orchestrator"
    if cluster.storage.kind == "volume":
        named(objects, "PersistentVolumeClaim", cluster.storage.claim)
        mount = _store_mount(objects)
        assert mount == cluster.storage.mount_path
    else:
        assert (
            named(objects, "ConfigMap", "orchestrator-settings")["data"]["ORCHESTRATOR_STORE_URI"]
            == cluster.storage.uri
        )
    for secret in cluster.secrets.names:
        assert f"create secret generic {secret} " in README


def _store_mount(objects: list[Object]) -> str:
    template = pod_template(named(objects, "CronJob", "store-gc"))
    assert template is not None
    [mount] = [
        mount["mountPath"]
        for mount in template["spec"]["containers"][0]["volumeMounts"]
        if mount["name"] == "store"
    ]
    assert (
        named(objects, "ConfigMap", "orchestrator-settings")["data"]["ORCHESTRATOR_STORE_URI"]
        == mount
    )
    return str(mount)
