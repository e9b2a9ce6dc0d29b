"""All rendered objects would run on Kubernetes and KubeRay."""

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cluster.documents import as_yaml
from orchestrator.cluster.names import schedule_name
from orchestrator.cluster.pods import config_map
from orchestrator.cluster.ray_jobs import Submission
from orchestrator.cluster.rules import check
from orchestrator.cluster.submissions import Request, render
from orchestrator.cluster.ticks import Tick, tick_of
from orchestrator.config import load_cluster, load_experiment, load_retraining, load_search_space
from orchestrator.config.cluster import ClusterConfig
from orchestrator.errors import UserInputError
from orchestrator.stages.retention import JOBS_FOLDER
from tests.kubernetes_objects import has_ray_schemas, pod_specs, validate

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "experiments" / "digits.yaml"
RETRAINING = ROOT / "experiments" / "retraining_digits.yaml"
ARRIVED = {
    "kind": "arrivals",
    "path": "/home/me/in",
    "files": [{"name": "x.parquet", "sha256": 64 * "0", "delivery": 1}],
    "deliveries": [["a", 1]],
}

Case = Callable[[str], Submission]


def spec_of(submission: Submission) -> dict[str, Any]:
    spec: dict[str, Any] = submission.job["spec"]
    return spec.get("jobTemplate", spec) if submission.job["kind"] == "RayCronJob" else spec


@pytest.mark.skipif(
    not has_ray_schemas(), reason="KubeRay's definitions are not here (../shared/kuberay-crds)"
)
def test_all_objects_are_valid(submission: Submission) -> None:
    assert validate(submission.manifests) == []


def test_the_yaml_contains_the_objects_without_anchors(submission: Submission) -> None:
    text = as_yaml(submission.manifests)
    assert list(yaml.safe_load_all(text)) == json.loads(json.dumps(submission.manifests))
    assert "&id" not in text


def test_all_volumes_and_references_of_pods_exist(submission: Submission) -> None:
    named = {
        volume["configMap"]["name"]
        for _, pod in pod_specs(submission.job)
        for volume in pod["volumes"]
        if "configMap" in volume
    }
    assert named == {submission.files["metadata"]["name"]}
    assert submission.files["immutable"] is True
    assert {manifest["metadata"]["namespace"] for manifest in submission.manifests} == {
        "orchestrator"
    }


def test_the_command_reads_existing_files_and_reproduces_the_users_experiment(
    submission: Submission, tmp_path: Path
) -> None:
    """The entrypoint's file and settings together equal the user's experiment, except for fields
    that the cluster determines.
    """
    for name, text in submission.files["data"].items():
        (tmp_path / name).write_text(text)
    spec = spec_of(submission)
    if "entrypoint" not in spec:
        [(_, pod)] = pod_specs(submission.job)
        assert pod["containers"][0]["command"][:3] == ["orchestrator", "submit", "retrain"]
        assert set(submission.files["data"]) == {"retraining.yaml", "cluster.yaml"}
        return
    words = shlex.split(spec["entrypoint"])
    files = [word for word in words if word.endswith(".yaml")]
    assert {file.rpartition("/")[2] for file in files} == set(submission.files["data"])
    settings = [word for before, word in pairwise(words) if before == "--set"]
    last = tmp_path / files[-1].rpartition("/")[2]
    experiment = (
        load_retraining(last, settings).experiment
        if words[1] == "retrain"
        else load_experiment(last, settings)
    )
    assert experiment.execution.kind == "ray"
    assert experiment.execution.address == "auto"
    original = (
        load_retraining(RETRAINING).experiment if words[1] == "retrain" else load_experiment(DIGITS)
    )
    decided = {
        "execution": original.execution,
        "store": original.store,
        "tracking": original.tracking,
    }
    data = experiment.data.model_copy(update={"cache_dir": original.data.cache_dir})
    assert experiment.model_copy(update={**decided, "data": data}) == original
    if words[1] == "sweep":
        assert load_search_space(tmp_path / "search_space.yaml").num_trials == 3


def test_jobs_are_bounded_authenticated_and_retried(submission: Submission) -> None:
    spec = spec_of(submission)
    if submission.job["kind"] == "CronJob":
        assert (spec["concurrencyPolicy"], spec["jobTemplate"]["spec"]["backoffLimit"]) == (
            "Forbid",
            0,
        )
        return
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["preRunningDeadlineSeconds"] > 0
    assert spec["submitterConfig"] == {"backoffLimit": 0}
    if "clusterSelector" not in spec:
        assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
        assert spec["rayClusterSpec"]["rayVersion"] == "2.60.0"
        assert spec["backoffLimit"] == 2
        assert "shutdownAfterJobFinishes" in spec or "deletionStrategy" in spec


def test_equal_content_has_an_equal_name_and_other_content_another() -> None:
    def name(*overrides: str, file: Path = DIGITS, **cluster: object) -> str:
        return render(Request("run", [file], overrides), ClusterConfig.model_validate(cluster)).name

    assert name() == name("seed=0") == name("execution.kind=ray")
    others = [
        name("seed=1"),
        name("execution.teacher.num_cpus_per_worker=2"),
        name(image="orchestrator:2"),
        name(limits={"max_retries": 0}),
    ]
    assert len({name(), *others}) == 5


def test_the_working_folder_and_local_settings_do_not_change_the_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = render(Request("run", [DIGITS]), ClusterConfig())
    monkeypatch.chdir(tmp_path)
    here = render(
        Request("run", [DIGITS], ["store.uri=elsewhere", "tracking.uri=sqlite:///other.db"]),
        ClusterConfig(),
    )
    assert here == there
    assert str(tmp_path) not in as_yaml(here.manifests)


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "k8s").rglob("cluster.yaml")),
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_jobs_for_every_shipped_cluster_are_valid(file: Path) -> None:
    cluster = load_cluster(file)
    kinds = [
        Request("run", [DIGITS]),
        Request("sweep", [ROOT / "search_spaces" / "smoke.yaml", DIGITS]),
    ]
    manifests = [manifest for request in kinds for manifest in render(request, cluster).manifests]
    assert (validate(manifests) if has_ray_schemas() else []) == []


@pytest.mark.parametrize("kind", ["run", "schedule"])
@pytest.mark.parametrize("name", ["x" * 200, "Ünïcode Näme 3.5 -- _", "7"])
def test_names_are_valid_whatever_the_experiments_name(name: str, kind: str) -> None:
    if kind == "run":
        submission = render(Request("run", [DIGITS], [f"name='{name}'"]), ClusterConfig())
    else:
        overrides = [f"experiment.name='{name}'", "source.path=/var/lib/orchestrator/store/x"]
        request = Request(
            "retrain", [ROOT / "experiments" / "retraining_digits.yaml"], overrides, "@hourly"
        )
        submission = render(
            request, ClusterConfig.model_validate({"schedule": {"kind": "ray_cron_job"}})
        )
    problems = validate(submission.manifests) if has_ray_schemas() else []
    assert problems == []


def test_data_that_must_outlive_a_pod_are_on_a_volume_if_there_is_one(case: Case) -> None:
    """Undelivered tracking entries, Ray's log, and the ledger that the next attempt resumes
    from.
    """

    def places(submission: Submission) -> list[str]:
        words = shlex.split(spec_of(submission)["entrypoint"])
        settings = [
            word.partition("=")[2]
            for word in words
            if word.startswith(("tracking.spool=", "experiment.tracking.spool="))
        ]
        return [*settings, words[words.index("--output") + 1].rpartition("/")[0]]

    def mounts(submission: Submission) -> dict[str, list[str]]:
        found = {}
        for _, pod in pod_specs(submission.job):
            claims = [
                volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
            ]
            found[pod["containers"][0]["name"]] = [
                mount["mountPath"]
                for mount in pod["containers"][0]["volumeMounts"]
                if mount["name"] in claims
            ]
        return found

    store, state = "/var/lib/orchestrator/store", "/var/lib/orchestrator/state"
    for name in ("run", "sweep", "retraining"):
        assert places(case(name)) == [f"{store}/spool", f"{store}/jobs"]
    assert mounts(case("run")) == {
        "ray-head": [store],
        "ray-worker": [store],
        "ray-job-submitter": [],
    }
    assert places(case("sweep with lanes")) == ["/tmp/spool", "/tmp/jobs"]  # noqa: S108 - of a pod
    bucket = ClusterConfig.model_validate(
        {"storage": {"kind": "object_storage", "uri": "s3://bucket/stages", "claim": "state"}}
    )
    beside = render(Request("run", [DIGITS]), bucket)
    assert places(beside) == [f"{state}/spool", f"{state}/jobs"]
    assert mounts(beside) == {"ray-head": [state], "ray-worker": [], "ray-job-submitter": []}


def test_all_attempts_of_a_sweep_share_a_folder_and_other_sweeps_have_their_own() -> None:
    def words(*overrides: str, **cluster: object) -> list[str]:
        request = Request("sweep", [ROOT / "search_spaces" / "smoke.yaml", DIGITS], overrides)
        return shlex.split(
            render(request, ClusterConfig.model_validate(cluster)).job["spec"]["entrypoint"]
        )

    assert words()[-1] == "--resume-if-begun"
    folders = [
        found[found.index("--output") + 1]
        for found in (words(), words("seed=0"), words("seed=1"), words(image="orchestrator:2"))
    ]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3
    assert all(
        folder.startswith(f"{ClusterConfig().storage.uri}/{JOBS_FOLDER}/") for folder in folders
    ), "gc of the store finds them"


def test_ticks_of_a_retraining_share_a_folder(case: Case) -> None:
    words = shlex.split(case("tick").job["spec"]["entrypoint"])
    assert words[words.index("--output") + 1].endswith(f"/{JOBS_FOLDER}/retrain-digits")


def test_files_too_large_for_a_config_map_are_rejected() -> None:
    with pytest.raises(
        UserInputError, match=r"ConfigMap big: the files have 1\.1 MiB; Kubernetes stores at most 1"
    ):
        check([config_map("big", "orchestrator", {}, {"experiment.yaml": "ä" * 600_000})])


def test_each_tick_is_a_separate_job_that_knows_when_it_was_due() -> None:
    file, source = (
        ROOT / "experiments" / "retraining_digits.yaml",
        "source.path=/var/lib/orchestrator/store/x",
    )

    def tick(minutes: int) -> Submission:
        due = datetime.fromtimestamp(60 * minutes, UTC)
        return render(
            Request("retrain", [file], [source], tick=Tick("retrain-digits", due)), ClusterConfig()
        )

    first, second = tick(29384756), tick(29384757)
    assert first.name != second.name
    head = first.job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert {"name": "ORCHESTRATOR_SCHEDULED_AT", "value": "2025-11-14T01:56:00+00:00"} in head[
        "env"
    ]
    assert first.job["metadata"]["labels"]["orchestrator/schedule"] == "retrain-digits"


def test_resubmitting_a_schedule_changes_the_existing_one() -> None:
    file, source = (
        ROOT / "experiments" / "retraining_digits.yaml",
        "source.path=/var/lib/orchestrator/store/x",
    )
    first, second = (
        render(
            Request("retrain", [file], [source, f"experiment.seed={seed}"], "@daily"),
            ClusterConfig(),
        )
        for seed in (0, 1)
    )
    assert first.name == second.name == "retrain-digits"
    assert first.files["metadata"]["name"] != second.files["metadata"]["name"]


def test_schedules_of_different_names_have_disjoint_object_names() -> None:
    names = [
        "digits",
        "Digits",
        "digits.",
        "my digits",
        "my-digits",
        f"{'x' * 100}1",
        f"{'x' * 100}2",
    ]
    found = [schedule_name(name) for name in names]
    assert len(set(found)) == len(names)
    assert found[0] == "retrain-digits"
    assert max(map(len, found)) == 36
    assert [tick_of(f"{name}-29384756-x7k2p").schedule for name in found] == found


def test_an_autoscaling_head_has_no_account_of_ours_and_no_other_pod_has_a_token(
    case: Case,
) -> None:
    def pods(name: str) -> list[dict[str, Any]]:
        return [pod for _, pod in pod_specs(case(name).job)]

    assert all(pod["automountServiceAccountToken"] is False for pod in pods("run"))
    growing = [pod for pod in pods("sweep") if pod.get("automountServiceAccountToken") is not False]
    assert [pod["containers"][0]["name"] for pod in growing] == ["ray-head"]
    assert "serviceAccountName" not in growing[0]
    assert [pod["serviceAccountName"] for pod in pods("schedule")] == ["orchestrator-scheduler"]


def test_gpus_labels_tolerations_and_environment_reach_the_pods(case: Case) -> None:
    cluster = case("run with GPUs, growing").job["spec"]["rayClusterSpec"]
    teacher, student = cluster["workerGroupSpecs"]
    pod = teacher["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {
        "cpu": "4",
        "memory": "4Gi",
        "nvidia.com/gpu": "1",
    }
    assert pod["nodeSelector"] == {"pool": "workers"}
    assert [toleration["key"] for toleration in pod["tolerations"]] == ["spot", "nvidia.com/gpu"]
    assert (teacher["labels"], student["labels"]) == ({"lane": "teacher"}, {"lane": "student"})
    assert (student["minReplicas"], student["maxReplicas"]) == (1, 3)
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert [source["secretRef"]["name"] for source in head["containers"][0]["envFrom"]] == [
        "mlflow-credentials",
        "bucket-credentials",
        "webhook-url",
    ]
    assert {"name": "AWS_REGION", "value": "eu-central-1"} in head["containers"][0]["env"]
    assert head["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request("sweep", [DIGITS]), "sweep needs 2 files"),
        (Request("run", [DIGITS], cron="@daily"), "--schedule is for retrainings"),
        (
            Request("run", [DIGITS], ray_cluster="Team A"),
            "'Team A' is not the name of a RayCluster",
        ),
        (Request("retrain", [DIGITS], cron="@daily", ray_cluster="up"), "exclude each other"),
        (
            Request(
                "run",
                [DIGITS],
                ["data.kind=parquet", "data.train=/home/me/a", "data.test=/home/me/b"],
            ),
            "pods do not see",
        ),
        (
            Request(
                "run", [DIGITS], ["data={kind: torchvision, name: CIFAR10, root: /home/me/data}"]
            ),
            "data.root: /home/me/data is a path of this machine, which pods do not see",
        ),
        (
            Request("run", [DIGITS], ["data.unlabeled={kind: parquet, path: /home/me/camera}"]),
            "data.unlabeled.path: /home/me/camera is a path of this machine",
        ),
        (
            Request(
                "run",
                [DIGITS],
                [f"data={json.dumps(ARRIVED)}"],
            ),
            "data.path: /home/me/in is a path of this machine, which pods do not see",
        ),
        (
            Request("retrain", [ROOT / "experiments" / "retraining_digits.yaml"]),
            "source.path: .*arrivals is a path of this machine",
        ),
        (
            Request(
                "retrain",
                [ROOT / "experiments" / "retraining_digits.yaml"],
                ["source.path=/var/lib/orchestrator/store/x"],
                "0 25 * * *",
            ),
            "'25' is no hour",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_settings_are_rejected_before_anything_is_sent(
    request_: Request, said: str
) -> None:
    with pytest.raises(UserInputError, match=said):
        render(request_, ClusterConfig())


def test_a_password_never_appears_in_a_manifest() -> None:
    request = Request(
        "retrain",
        [ROOT / "experiments" / "retraining_digits.yaml"],
        ["source.path=s3://me:secret@bucket/x"],
    )
    with pytest.raises(UserInputError, match=r"source.path = s3://\*\*\*@bucket/x holds a secret"):
        render(request, ClusterConfig())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://TOKEN@bucket/x", "the Secret keys .*AWS_ACCESS_KEY_ID"),
        ("s3://AK:a/b@bucket/x", "secrets.object_storage"),
        ("s3://bucket/x?secret_key=k", "secrets.object_storage"),
        ("s3://bucket/x?X-Amz-Signature=k", "AWS_SECRET_ACCESS_KEY"),
        ("gs://me:pw@bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_submit_names_the_kubernetes_secret_for_the_secret_of_an_address(
    address: str, said: str
) -> None:
    file = ROOT / "experiments" / "retraining_digits.yaml"
    cluster = ClusterConfig.model_validate({"secrets": {"object_storage": "keys"}})
    with pytest.raises(UserInputError, match=said):
        render(Request("retrain", [file], [f"source.path={address}"]), cluster)
