"""submit, status and cancel against a simulated API server (see simulated_api): requests, output
and exit codes.
"""

from typing import Any

import pytest
import yaml

from tests.unit.cluster.jobs import (
    DIGITS,
    ROOT,
    RUN,
    RUNNING,
    SUCCEEDED,
    Command,
    failed,
    goes_through,
    name_of,
    pod_of,
    the_job,
)
from tests.unit.cluster.simulated_api import SimulatedApi, status

SPACE = str(ROOT / "search_spaces" / "smoke.yaml")

# --- sent and followed ----------------------------------------------------------------------------


def test_a_dry_run_needs_no_cluster(
    orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    answer = orchestrator_command(*RUN, "--dry-run", "--namespace", "mine")
    assert (answer.returncode, answer.stderr) == (0, "")
    files, job = yaml.safe_load_all(answer.stdout)
    assert (files["kind"], job["kind"], job["metadata"]["namespace"]) == (
        "ConfigMap",
        "RayJob",
        "mine",
    )


def test_a_command_is_submitted_with_its_own_arguments(
    orchestrator_command: Command,
) -> None:
    by_position = orchestrator_command("submit", "sweep", SPACE, DIGITS, "--dry-run").stdout
    words = ("submit", "sweep", SPACE, "--experiment", DIGITS, "--dry-run")
    assert orchestrator_command(*words).stdout == by_position != ""
    files, _ = yaml.safe_load_all(orchestrator_command(*words, "--num-trials", "3").stdout)
    assert yaml.safe_load(files["data"]["search_space.yaml"])["num_trials"] == 3
    assert orchestrator_command(*words, "--resume").stdout == by_position, "a job always resumes"
    named = orchestrator_command(*RUN, "--name", "the first", "--dry-run").stdout
    [job] = [it for it in yaml.safe_load_all(named) if it["kind"] == "RayJob"]
    assert "--name 'the first'" in job["spec"]["entrypoint"]
    volume = "/var/lib/orchestrator/store/mine"
    placed = orchestrator_command(*RUN, "--output", f"{volume}/x/..", "--dry-run").stdout
    [job] = [it for it in yaml.safe_load_all(placed) if it["kind"] == "RayJob"]
    assert job["spec"]["entrypoint"].count("--output") == 1
    assert f"--output {volume}" in job["spec"]["entrypoint"]
    assert name_of(orchestrator_command, *RUN, "--output", volume) != name_of(
        orchestrator_command, *RUN
    )
    for refused, said in (
        (("submit", "run", DIGITS, "--num-trials", "3"), "--num-trials is for sweeps"),
        (("submit", "run", DIGITS, "--experiment", DIGITS), "run needs 1 file, not 2"),
        (("submit", "sweep", SPACE, DIGITS, "--name", "x"), "--name is for runs"),
        ((*RUN, "--output", "out/x"), "out/x is a folder of this machine"),
        ((*RUN, "--output", f"{volume}/../../x"), "give a folder in /var/lib/orchestrator/store"),
    ):
        answer = orchestrator_command(*refused, "--dry-run")
        assert (answer.returncode, said in answer.stderr) == (2, True)


def test_a_job_is_applied_on_the_server_and_followed_to_its_end(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    name = name_of(orchestrator_command, *RUN)
    log = (
        '2026-11-22T12:00:31.5Z plain line\n2026-11-22T12:00:31.59Z {"time": "x", "level": "info",'
        ' "message": "teacher starts task 1"}\n2026-11-22T12:00:31.591Z MLflow  '
        " http://mlflow:5000/#/experiments/1/runs/abc\n"
    )
    pod_of(api, name, log)
    goes_through(
        api, [{}, {**RUNNING, "jobDeploymentStatus": "Initializing"}, RUNNING, RUNNING, SUCCEEDED]
    )
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        (
            f"{name}: submitted; Ctrl-C stops following the job,"
            f" `orchestrator cancel {name}` ends the job"
        ),
        f"{name}: accepted",
        f"{name}: waiting for its pods, RayCluster run-digits-abcde",
        "plain line",
        "teacher starts task 1",
        "MLflow   http://mlflow:5000/#/experiments/1/runs/abc",
        f"{name}: running",
        f"{name}: finished",
        "MLflow   http://mlflow:5000/#/experiments/1/runs/abc",
    ]
    sent = [asked for asked in api.asked if asked.method in ("PATCH", "POST")]
    assert [(asked.method, asked.plural) for asked in sent] == [
        ("PATCH", "rayjobs"),
        ("POST", "configmaps"),
    ]
    assert sent[0].content_type == "application/apply-patch+yaml"
    assert {asked.query["fieldManager"] for asked in sent} == {"continual-orchestrator"}
    assert {asked.query["fieldValidation"] for asked in sent} == {"Strict"}
    [owner] = api.objects["configmaps", name]["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "name": name,
        "uid": the_job(api)["metadata"]["uid"],
    }


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (
            failed(
                message=(
                    "Job entrypoint command failed with exit code 2, last available logs:\nerror: …"
                )
            ),
            2,
        ),
        (failed(message="Job entrypoint command failed with exit code 3. No logs available."), 3),
        (failed(message="Job entrypoint command failed with exit code 137."), 1),
        (failed(message=""), 1),
        (
            failed(
                "DeadlineExceeded", "The RayJob has passed the activeDeadlineSeconds.", "RUNNING"
            ),
            3,
        ),
        (
            failed(
                "PreRunningDeadlineExceeded",
                "The RayJob has passed the preRunningDeadlineSeconds.",
                "",
            ),
            3,
        ),
        (failed("SubmissionFailed", "Job submission has failed.", ""), 3),
        (
            {
                "jobDeploymentStatus": "ValidationFailed",
                "reason": "ValidationFailed",
                "message": "The RayJob spec is invalid",
            },
            2,
        ),
        ({**SUCCEEDED, "jobStatus": "STOPPED"}, 130),
    ],
    ids=lambda value: (
        str(value.get("reason", "stopped")) if isinstance(value, dict) else str(value)
    ),
)
def test_the_exit_code_is_that_of_the_job(
    api: SimulatedApi, orchestrator_command: Command, end: dict[str, Any], code: int
) -> None:
    goes_through(api, [RUNNING, end])
    answer = orchestrator_command(*RUN)
    assert answer.returncode == code, answer.stdout
    assert end.get("message", "").split("\n")[0] in answer.stdout


def test_the_same_job_twice_is_one_job(api: SimulatedApi, orchestrator_command: Command) -> None:
    goes_through(api, [SUCCEEDED])
    orchestrator_command(*RUN)
    again = orchestrator_command(*RUN)
    assert again.returncode == 0
    assert "submitted earlier and has finished; `orchestrator cancel" in again.stdout
    assert [asked.plural for asked in api.asked if asked.method == "PATCH"].count("rayjobs") == 1
    goes_through(api, [RUNNING, RUNNING, SUCCEEDED])
    assert "the same job was submitted earlier and is running" in orchestrator_command(*RUN).stdout


def test_a_failed_job_is_restarted(api: SimulatedApi, orchestrator_command: Command) -> None:
    goes_through(api, [failed()])
    orchestrator_command(*RUN)
    first = the_job(api)["metadata"]["uid"]
    goes_through(api, [failed(), SUCCEEDED])
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0, answer.stderr
    assert "submitted again, reusing the stored stages" in answer.stdout
    again = the_job(api)["metadata"]
    assert again["uid"] != first
    # its files are not the previous job's, which are still being deleted with that job
    [owner] = api.objects["configmaps", again["name"]]["metadata"]["ownerReferences"]
    assert owner["uid"] == again["uid"]


def test_a_job_that_is_being_cancelled_is_awaited_and_restarted(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    goes_through(api, [RUNNING, SUCCEEDED])
    orchestrator_command(*RUN)
    first = the_job(api)
    first["metadata"]["deletionTimestamp"] = "2026-11-22T12:03:00Z"
    goes_through(api, [RUNNING, SUCCEEDED])
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0, answer.stderr
    assert ": submitted; " in answer.stdout
    assert the_job(api)["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        (None, 2, "there is no RayCluster 'shared'; the RayClusters are: other; omit"),
        ({}, 3, "the RayCluster is not up yet; wait until"),
        ({"state": "suspended"}, 3, "the RayCluster is suspended"),
        ({"state": "ready"}, 0, ""),
    ],
    ids=["missing", "starting", "suspended", "ready"],
)
def test_an_existing_ray_cluster_must_be_running(
    api: SimulatedApi,
    orchestrator_command: Command,
    state: dict[str, str] | None,
    code: int,
    said: str,
) -> None:
    api.objects["rayclusters", "other"] = {"metadata": {"name": "other"}}
    if state is not None:
        api.objects["rayclusters", "shared"] = {"metadata": {"name": "shared"}, "status": state}
    goes_through(api, [SUCCEEDED])
    answer = orchestrator_command(*RUN, "--cluster", "shared")
    assert (answer.returncode, said in answer.stderr) == (code, True), answer.stderr
    assert any(asked.method == "PATCH" for asked in api.asked) == (code == 0)


def test_retries_and_queues_are_shown(api: SimulatedApi, orchestrator_command: Command) -> None:
    states: list[dict[str, Any]] = [
        {"jobDeploymentStatus": "Suspended"},
        RUNNING,
        {**RUNNING, "jobDeploymentStatus": "Retrying", "failed": 1},
    ]
    goes_through(api, [*states, {**RUNNING, "failed": 1}, SUCCEEDED])
    said = [line.partition(": ")[2] for line in orchestrator_command(*RUN).stdout.splitlines()]
    expected = [
        "waiting in its queue",
        "running",
        "trying again on a new cluster (attempt 2)",
        "running (attempt 2)",
        "finished",
    ]
    assert [line for line in said if line in expected] == expected


# --- listed and cancelled -------------------------------------------------------------------------


def test_status_lists_jobs_and_schedules_or_shows_one(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    assert orchestrator_command("status").stdout == "no jobs in the namespace orchestrator\n"
    goes_through(api, [failed(message="Job entrypoint command failed with exit code 2.\nmore")])
    orchestrator_command(*RUN)
    api.objects["cronjobs", "retrain-digits"] = {
        "metadata": {
            "name": "retrain-digits",
            "labels": {"app.kubernetes.io/managed-by": "continual-orchestrator"},
        },
        "spec": {"schedule": "0 3 * * *", "timeZone": "Etc/UTC", "suspend": True},
    }
    name = the_job(api)["metadata"]["name"]
    shown = orchestrator_command("status").stdout
    assert name in shown
    assert "failed: exit code 2" in shown
    assert "suspended" in shown
    one = orchestrator_command("status", name).stdout
    assert "message  Job entrypoint command failed with exit code 2." in one
    assert f"kubectl logs --follow job/{name}" in one
    assert "schedule 0 3 * * * Etc/UTC" in orchestrator_command("status", "retrain-digits").stdout


@pytest.mark.parametrize(
    "body",
    [
        "404 page not found\n",
        status(403, "Forbidden", 'User "ann" cannot list resource "raycronjobs"'),
    ],
)
def test_kinds_that_the_cluster_lacks_are_skipped(
    api: SimulatedApi, orchestrator_command: Command, body: str
) -> None:
    api.refusals |= {("GET", "raycronjobs"): (404 if body.startswith("404") else 403, body)}
    assert orchestrator_command("status").returncode == 0
    missing = orchestrator_command("cancel", "nothing")
    assert (missing.returncode, "there is no job and no schedule 'nothing'" in missing.stderr) == (
        2,
        True,
    )


def test_cancel_ends_a_job_and_names_the_running_ticks_of_a_schedule(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    goes_through(api, [SUCCEEDED])
    orchestrator_command(*RUN)
    name = the_job(api)["metadata"]["name"]
    assert orchestrator_command("cancel", name).stdout.startswith(
        f"{name}: run cancelled; its stored stages remain"
    )
    assert ("rayjobs", name) not in api.objects
    ours = {
        "app.kubernetes.io/managed-by": "continual-orchestrator",
        "orchestrator/schedule": "retrain-digits",
    }
    api.objects["cronjobs", "retrain-digits"] = {
        "metadata": {"name": "retrain-digits", "labels": ours},
        "spec": {"schedule": "@daily"},
    }
    for tick, state in (("tick-1", SUCCEEDED), ("tick-2", RUNNING)):
        api.objects["rayjobs", tick] = {
            "kind": "RayJob",
            "metadata": {"name": tick, "labels": ours},
            "status": state,
        }
    answer = orchestrator_command("cancel", "retrain-digits")
    assert answer.stdout.splitlines() == [
        "retrain-digits: schedule cancelled",
        "tick-2: this tick keeps running; `orchestrator cancel tick-2` ends it",
    ]


def test_objects_of_others_are_not_touched(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    api.objects["rayjobs", "theirs"] = {
        "metadata": {"name": "theirs", "labels": {}},
        "status": RUNNING,
    }
    answer = orchestrator_command("cancel", "theirs")
    assert (answer.returncode, "was not submitted by this program" in answer.stderr) == (2, True)
    assert ("rayjobs", "theirs") in api.objects


@pytest.mark.parametrize("words", [("status",), ("status", "x"), ("cancel", "x"), RUN])
def test_a_nonexistent_namespace_is_not_reported_as_empty(
    api: SimulatedApi, orchestrator_command: Command, words: tuple[str, ...]
) -> None:
    """For such a namespace the API server returns an empty list without an error."""
    answer = orchestrator_command(*words, "--namespace", "nonesuch")
    assert answer.returncode == 2
    assert 'namespaces "nonesuch" not found; create the namespace' in answer.stderr


def test_without_the_right_to_see_namespaces_an_empty_list_is_shown(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    message = 'namespaces "orchestrator" is forbidden: User "ann" cannot get resource "namespaces"'
    api.refusals["GET", "namespaces"] = 403, status(403, "Forbidden", message, kind="namespaces")
    answer = orchestrator_command("status")
    assert (answer.returncode, answer.stdout) == (0, "no jobs in the namespace orchestrator\n")


def test_status_shows_the_output_folder_of_a_job(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    goes_through(api, [SUCCEEDED])
    orchestrator_command(*RUN)
    job = the_job(api)
    words = job["spec"]["entrypoint"].split()
    folder = words[words.index("--output") + 1]
    shown = orchestrator_command("status", job["metadata"]["name"]).stdout
    assert f"folder   {folder}\n" in shown
    assert folder.startswith("/var/lib/orchestrator/store/jobs/run-digits-")
