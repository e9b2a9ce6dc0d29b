"""Refusals of a simulated API server (see simulated_api): the message and exit code of each."""

import re
from pathlib import Path

import pytest

from tests.unit.cluster.jobs import RETRAIN, RUN, Command, name_of
from tests.unit.cluster.simulated_api import SimulatedApi, kubeconfig_for, status

BUCKET = Path(__file__).parent / "bucket.yaml"

CANNOT = (
    'rayjobs.ray.io "x" is forbidden: User "ann" cannot patch resource "rayjobs" in API group'
    ' "ray.io" in the namespace "orchestrator"'
)
QUOTA = (
    'rayjobs.ray.io "run-digits" is forbidden: exceeded quota: jobs, requested:'
    " count/rayjobs.ray.io=1, used: 5, limited: 5"
)
FORBIDDEN = 'rayjobs.ray.io "run-digits" is forbidden: '
POLICY = "ValidatingAdmissionPolicy 'sizes' with binding 'sizes' denied request: at most 8 GPUs"
TERMINATING = (
    f"{FORBIDDEN}unable to create new content in namespace orchestrator because it is being"
    " terminated"
)


@pytest.mark.parametrize(
    ("code", "body", "said", "exit_code"),
    [
        (
            403,
            status(403, "Forbidden", CANNOT, kind="rayjobs"),
            "ann may not patch rayjobs; ask for the role .* of k8s/base/accounts.yaml",
            2,
        ),
        (
            403,
            status(403, "Forbidden", QUOTA, kind="rayjobs"),
            "exceeded quota: jobs.*; wait until other jobs have ended",
            3,
        ),
        (
            404,
            "404 page not found\n",
            (
                "the cluster has no kind RayJob: KubeRay is missing in the cluster; install it:"
                " helm install kuberay-operator"
            ),
            2,
        ),
        (
            404,
            status(404, "NotFound", 'namespaces "orchestrator" not found', kind="namespaces"),
            "namespaces .* not found; create the namespace",
            2,
        ),
        (
            409,
            status(
                409,
                "Conflict",
                'Apply failed with 1 conflict: conflict with "kubectl-edit": .spec.suspend',
            ),
            "kubectl-edit.*; undo",
            2,
        ),
        (
            422,
            status(422, "Invalid", 'RayJob.ray.io "run-digits" is invalid: spec.x: Required value'),
            "refuses the request .*Required value",
            2,
        ),
        (
            403,
            status(403, "Forbidden", TERMINATING, kind="rayjobs"),
            "is being terminated; wait until the namespace is recreated",
            3,
        ),
        (
            403,
            status(403, "Forbidden", f"{FORBIDDEN}{POLICY}", kind="rayjobs"),
            "ValidatingAdmissionPolicy 'sizes' refuses the object: at most 8 GPUs; change the",
            2,
        ),
        (
            422,
            status(422, "Invalid", f"{FORBIDDEN}{POLICY}", kind="rayjobs"),
            "ValidatingAdmissionPolicy 'sizes' refuses the object: at most 8 GPUs; change the",
            2,
        ),
        (
            403,
            status(403, "Forbidden", 'admission webhook "a.b" denied the request: no team label'),
            'admission webhook "a.b" refuses the object: no team label; change the named value',
            2,
        ),
        (
            403,
            status(403, "Forbidden", f"{FORBIDDEN}something of this cluster's own"),
            "the Kubernetes API refuses the request .*of this cluster's own.*; change the named",
            2,
        ),
        (401, status(401, "Unauthorized", "Unauthorized"), "rejects your login; log in again", 2),
        (
            429,
            status(429, "TooManyRequests", "too many requests"),
            "cannot answer now .*; try again",
            3,
        ),
        (
            500,
            status(500, "InternalError", "Internal error occurred: failed calling webhook"),
            "cannot answer now .*failed calling webhook",
            3,
        ),
        (503, "upstream connect error", "cannot answer now .*upstream connect error", 3),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, int) else "",
)
def test_a_refusal_names_the_next_step(
    api: SimulatedApi,
    orchestrator_command: Command,
    code: int,
    body: str,
    said: str,
    exit_code: int,
) -> None:
    api.refusals["PATCH", "rayjobs"] = code, body
    answer = orchestrator_command(*RUN)
    assert answer.returncode == exit_code
    assert re.search(said, answer.stderr), answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "Traceback" not in answer.stderr
    is_right_missing = "cannot patch" in body
    assert ("ask for the role" in answer.stderr) == is_right_missing


def test_a_definition_that_lacks_a_field_is_reported_as_outdated(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server answers 500 to `apply` and 400 to `create`."""
    api.undeclared["rayjobs"] = "spec.preRunningDeadlineSeconds"
    applied = orchestrator_command(*RUN)
    monkeypatch.setenv("ORCHESTRATOR_SCHEDULED_AT", "retrain-digits-29384756")
    created = orchestrator_command(*RETRAIN, "--cluster-config", str(BUCKET))
    for answer in (applied, created):
        assert answer.returncode == 2, answer.stderr
        assert "the cluster's KubeRay is too old (" in answer.stderr
        assert "spec.preRunningDeadlineSeconds" in answer.stderr
        assert "update KubeRay to 1.7" in answer.stderr
    api.undeclared = {"cronjobs": "spec.timeZone"}
    schedule = orchestrator_command(
        *RETRAIN, "--schedule", "@daily", "--cluster-config", str(BUCKET)
    )
    assert schedule.returncode == 2
    assert "the cluster's Kubernetes is too old" in schedule.stderr


def test_a_ray_cron_job_without_its_component_is_an_error_that_names_the_component(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "cluster.yaml").write_text(
        f"{BUCKET.read_text()}schedule: {{kind: ray_cron_job}}\n"
    )
    message = CANNOT.replace("rayjobs", "raycronjobs")
    api.refusals["PATCH", "raycronjobs"] = 403, status(403, "Forbidden", message)
    answer = orchestrator_command(
        *RETRAIN, "--schedule", "@daily", "--cluster-config", str(tmp_path / "cluster.yaml")
    )
    assert answer.returncode == 2
    assert "ann may not patch raycronjobs; add the component k8s/components/raycronjob" in (
        answer.stderr
    )
    assert "role orchestrator-researcher" not in answer.stderr


def test_a_job_whose_files_are_refused_is_deleted_again(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    api.refusals["POST", "configmaps"] = (
        403,
        status(403, "Forbidden", 'User "ann" cannot create resource "configmaps"'),
    )
    answer = orchestrator_command(*RUN)
    assert (answer.returncode, "ann may not create configmaps" in answer.stderr) == (2, True)
    assert api.objects == {}


def test_foreign_files_under_the_jobs_name_are_rejected(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    name = name_of(orchestrator_command, *RUN)
    theirs = {"kind": "ConfigMap", "metadata": {"name": name}, "data": {"experiment.yaml": "x"}}
    api.objects["configmaps", name] = theirs
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 2
    assert "a ConfigMap of this name holds other files" in answer.stderr
    assert list(api.objects) == [("configmaps", name)]


def test_a_nonexistent_kubeconfig_is_named(
    orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    missing = tmp_path / "none"
    monkeypatch.setenv("KUBECONFIG", str(missing))
    for words in (RUN, ("status",), ("cancel", "x")):
        answer = orchestrator_command(*words)
        assert answer.returncode == 2
        assert (
            f"no access to a Kubernetes cluster: KUBECONFIG names {missing}, which does not exist"
            in answer.stderr
        )
    monkeypatch.delenv("KUBECONFIG")
    default = orchestrator_command("status").stderr
    assert f"KUBECONFIG is not set, and {tmp_path}/.kube/config, which does not exist" in default


def test_an_unreachable_server_is_a_retryable_error(
    orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig_for("http://127.0.0.1:9"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 3
    assert (
        answer.stderr
        == "error: http://127.0.0.1:9: the Kubernetes API does not answer (Connection refused);"
        " check the network, or kubectl's context\n"
    ), answer.stderr
