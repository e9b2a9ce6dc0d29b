"""Following a job against a simulated API server (see simulated_api): what interrupts it and what
must not.
"""

from typing import Any

import pytest

from tests.unit.cluster.jobs import (
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


def test_ctrl_c_stops_following_but_not_the_job(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_through(api, [RUNNING])

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.cluster.following.time.sleep", pressed)
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 130
    name = the_job(api)["metadata"]["name"]
    assert (
        answer.stderr
        == f"error: {name}: stopped following; the job continues: `orchestrator status {name}`"
        f" shows it, `orchestrator cancel {name}` ends it\n"
    )
    assert not [asked for asked in api.asked if asked.method == "DELETE"]


def test_following_ends_when_the_job_is_cancelled(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    seen: list[str] = []

    def taken_away(plural: str, name: str) -> None:
        seen.append(plural)
        if seen.count("rayjobs") == 3:
            api.objects.clear()

    api.on_get = taken_away
    answer = orchestrator_command(*RUN)
    assert (answer.returncode, "was cancelled" in answer.stderr) == (2, True)


def test_following_survives_a_short_outage_of_the_api(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def trouble(plural: str, name: str) -> None:
        nonlocal count
        count += plural == "rayjobs"
        if count == 2:
            api.refusals["GET", "rayjobs"] = (
                503,
                status(503, "ServiceUnavailable", "apiserver is shutting down"),
            )
            monkeypatch.setattr(
                "orchestrator.cluster.following.time.sleep", lambda _: api.refusals.clear()
            )
        if ("rayjobs", name) in api.objects:
            api.objects["rayjobs", name]["status"] = SUCCEEDED if count > 2 else RUNNING

    api.on_get = trouble
    assert orchestrator_command(*RUN).returncode == 0


def test_a_long_outage_ends_following_but_not_the_job(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cluster.following._PATIENCE_SECONDS", 0.05)

    def trouble(plural: str, name: str) -> None:
        if (plural, name) in api.objects:
            api.refusals["GET", "rayjobs"] = (
                503,
                status(503, "ServiceUnavailable", "apiserver is shutting down"),
            )

    api.on_get = trouble
    answer = orchestrator_command(*RUN)
    assert (
        answer.returncode,
        "the job continues: `orchestrator status run-digits-" in answer.stderr,
    ) == (3, True)
    assert not [asked for asked in api.asked if asked.method == "DELETE"]


def test_following_continues_without_the_right_to_read_output(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    message = (
        'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace'
        ' "orchestrator"'
    )
    api.refusals["GET", "pods"] = 403, status(403, "Forbidden", message, kind="pods")
    goes_through(api, [RUNNING, RUNNING, SUCCEEDED])
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0
    assert answer.stdout.count("the job's output cannot be shown: orchestrator/run-digits") == 1


def test_a_server_that_has_just_started_is_no_missing_right(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    """The server answers 403 until it has loaded RBAC, also while a job is being followed."""
    pod_of(api, name_of(orchestrator_command, *RUN), "2026-11-22T12:00:31.5Z a line\n")
    goes_through(api, [RUNNING, RUNNING, SUCCEEDED])
    follow_job = api.on_get
    count = 0

    def restarted(plural: str, name: str) -> None:
        nonlocal count
        count += plural == "rayjobs"
        if count == 3:
            api.num_starting = 3
        follow_job(plural, name)

    api.on_get = restarted
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0, answer.stderr
    assert api.num_starting == 0
    assert "a line" in answer.stdout
    assert "ask for the role" not in answer.stderr


def test_a_revoked_right_ends_following_and_reports_that_the_job_continues(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cluster.following._PATIENCE_SECONDS", 0.05)

    def taken_away(plural: str, name: str) -> None:
        if (plural, name) in api.objects:
            api.num_starting = 10**6

    api.on_get = taken_away
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 2
    assert "ann may not get rayjobs; the job continues: `orchestrator status run-" in answer.stderr


def test_an_expired_token_is_reported_with_the_job_still_running(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    def expired(plural: str, name: str) -> None:
        if (plural, name) in api.objects:
            api.refusals["GET", "rayjobs"] = 401, status(401, "Unauthorized", "Unauthorized")

    api.on_get = expired
    answer = orchestrator_command(*RUN)
    name = the_job(api)["metadata"]["name"]
    assert answer.returncode == 2
    assert "the job continues: log in again, so that `kubectl get pods` works; then" in (
        answer.stderr
    )
    assert f"`orchestrator status {name}` shows it, and" in answer.stderr
    assert not [asked for asked in api.asked if asked.method == "DELETE"]


@pytest.mark.parametrize(("end", "code"), [(SUCCEEDED, 0), (failed(message="exit code 2"), 2)])
def test_an_unreadable_log_does_not_hide_the_jobs_end(
    api: SimulatedApi,
    orchestrator_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    end: dict[str, Any],
    code: int,
) -> None:
    """The pod's node is unreachable, but its state is known."""
    monkeypatch.setattr("orchestrator.cluster.following._LAST_OUTPUT_SECONDS", 0.1)
    name = name_of(orchestrator_command, *RUN)
    pod_of(api, name, "2026-11-22T12:00:31.5Z a line\n")
    api.is_kubelet_away = True
    goes_through(api, [RUNNING, RUNNING, end])
    answer = orchestrator_command(*RUN)
    assert answer.returncode == code, answer.stderr
    assert f"{name}: {'finished' if code == 0 else 'failed: exit code 2'}" in answer.stdout
    assert answer.stdout.count("the job's output cannot be shown: ") == 1
    assert f"the end of the job's output could not be read: see `kubectl logs job/{name}`" in (
        answer.stdout
    )


def test_a_log_that_becomes_readable_again_is_shown_to_its_end(
    api: SimulatedApi, orchestrator_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod_of(api, name_of(orchestrator_command, *RUN), "2026-11-22T12:00:31.5Z the last line\n")
    api.is_kubelet_away = True
    goes_through(api, [RUNNING, SUCCEEDED])
    monkeypatch.setattr(
        "orchestrator.cluster.following.time.sleep",
        lambda _: setattr(
            api, "is_kubelet_away", the_job(api)["status"]["jobStatus"] != "SUCCEEDED"
        ),
    )
    answer = orchestrator_command(*RUN)
    assert answer.returncode == 0, answer.stderr
    assert "the last line" in answer.stdout
    assert "could not be read" not in answer.stdout


def test_the_output_of_the_previous_job_is_not_shown_as_the_new_ones(
    api: SimulatedApi, orchestrator_command: Command
) -> None:
    """After a resubmit, the deleted RayJob's pod takes some time to end."""
    name = name_of(orchestrator_command, *RUN)
    pod_of(api, name, "2026-11-22T11:59:31.5Z an old line\n", "2026-11-22T11:59:00Z", "-old")
    pod_of(api, name, "2026-11-22T12:00:31.5Z a new line\n")
    goes_through(api, [RUNNING, SUCCEEDED])
    said = orchestrator_command(*RUN).stdout
    assert "a new line" in said
    assert "an old line" not in said


def test_each_state_is_reported_once(api: SimulatedApi, orchestrator_command: Command) -> None:
    """KubeRay sets the fields of a state one after another."""
    pending = {"jobDeploymentStatus": "Running", "jobStatus": "PENDING"}
    goes_through(api, [pending, {**pending, "jobStatus": ""}, RUNNING, RUNNING, SUCCEEDED])
    said = orchestrator_command(*RUN).stdout.splitlines()
    assert [line.partition(": ")[2] for line in said].count("running") == 1


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Job entrypoint command failed with exit code 137.", "failed: exit code 137 (SIGKILL)"),
        ("Job entrypoint command failed with exit code 2.", "failed: exit code 2"),
        ("", "failed: exit code 1"),
    ],
)
def test_the_reported_exit_code_comes_from_the_jobs_message(
    api: SimulatedApi, orchestrator_command: Command, message: str, words: str
) -> None:
    goes_through(api, [RUNNING, failed(message=message)])
    said = orchestrator_command(*RUN).stdout.splitlines()
    assert words in [line.partition(": ")[2] for line in said]
