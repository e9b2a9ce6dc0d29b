"""Schedules and their ticks against a simulated API server (see simulated_api)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from tests.unit.cluster.jobs import (
    RETRAIN,
    ROOT,
    SUCCEEDED,
    Command,
    goes_through,
    name_of,
    pod_of,
    the_job,
)
from tests.unit.cluster.simulated_api import Asked, SimulatedApi, status

BUCKET = Path(__file__).parent / "bucket.yaml"
LATER = "2026-11-23T00:00:00Z"
KINDS = {"cron_job": "cronjobs", "ray_cron_job": "raycronjobs"}


def test_a_schedule_is_applied_and_not_followed(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "cluster.yaml").write_text(
        "storage: {kind: object_storage, uri: 's3://bucket/stages'}"
    )
    words = (
        *RETRAIN,
        "--schedule",
        "0 3 * * *",
        "--cluster-config",
        str(tmp_path / "cluster.yaml"),
    )
    answer = orchestrator_command(*words)
    assert answer.returncode == 0, answer.stderr
    assert (
        answer.stdout
        == "retrain-digits: scheduled at 0 3 * * * Etc/UTC; `orchestrator cancel retrain-digits`"
        " removes it\n"
    )
    sent = [(asked.method, asked.plural) for asked in api.asked if asked.method != "GET"]
    assert sent == [("PATCH", "cronjobs"), ("POST", "configmaps")]


def test_a_tick_creates_its_job_follows_it_and_prunes_old_ones(
    api: SimulatedApi,
    orchestrator_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It runs as in the CronJob's small pod: with the schedule's files and its account's rights."""
    (tmp_path / "cluster.yaml").write_text(
        "storage: {kind: object_storage, uri: 's3://bucket/stages'}\nschedule: {keep_finished: 2}"
    )
    orchestrator_command(
        *RETRAIN, "--schedule", "@daily", "--cluster-config", str(tmp_path / "cluster.yaml")
    )
    [files] = [
        found["data"] for (plural, _), found in api.objects.items() if plural == "configmaps"
    ]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    forbidden = status(
        403, "Forbidden", 'rayjobs.ray.io is forbidden: User "x" cannot patch resource "rayjobs"'
    )
    api.refusals |= {
        ("PATCH", plural): (403, forbidden) for plural in ("rayjobs", "configmaps", "cronjobs")
    }
    goes_through(api, [SUCCEEDED])
    for minutes in range(29384756, 29384760):
        monkeypatch.setenv("ORCHESTRATOR_SCHEDULED_AT", f"retrain-digits-{minutes}")
        words = (
            "submit",
            "retrain",
            str(tmp_path / "retraining.yaml"),
            "--cluster-config",
            str(tmp_path / "cluster.yaml"),
        )
        answer = orchestrator_command(*words)
        assert answer.returncode == 0, answer.stderr
    ticks = [found for (plural, _), found in api.objects.items() if plural == "rayjobs"]
    assert len(ticks) == 2
    head = ticks[-1]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert {"name": "ORCHESTRATOR_SCHEDULED_AT", "value": "2025-11-14T01:59:00+00:00"} in head[
        "env"
    ]


def test_a_schedules_rights_are_exactly_those_that_its_ticks_use(
    api: SimulatedApi,
    orchestrator_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "cluster.yaml").write_text(f"{BUCKET.read_text()}schedule: {{keep_finished: 1}}\n")
    goes_through(api, [SUCCEEDED])
    for minutes in (29384756, 29384757, 29384757):  # the last tick is started a second time
        monkeypatch.setenv("ORCHESTRATOR_SCHEDULED_AT", f"retrain-digits-{minutes}")
        words = (*RETRAIN, "--cluster-config", str(tmp_path / "cluster.yaml"))
        pod_of(api, name_of(orchestrator_command, *words), "2026-11-23T00:00:01Z x\n", LATER)
        answer = orchestrator_command(*words)
        assert answer.returncode == 0, answer.stderr
    [role] = [
        each
        for each in yaml.safe_load_all((ROOT / "k8s" / "base" / "accounts.yaml").read_text())
        if (each["kind"], each["metadata"]["name"]) == ("Role", "orchestrator-scheduler")
    ]
    granted = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {verb_of(asked) for asked in api.asked} == granted


def verb_of(asked: Asked) -> tuple[str, str]:
    """Return a request in RBAC's terms."""
    if asked.is_log:
        return "pods/log", "get"
    verbs = {"POST": "create", "GET": "get" if asked.name else "list"}
    return asked.plural, verbs.get(asked.method, asked.method.lower())


def schedule_by(kind: str, folder: Path, command: Command) -> "CompletedProcess[str]":
    """Submit the schedule as an object of the given kind."""
    file = folder / f"{kind}.yaml"
    file.write_text(
        "storage: {kind: object_storage, uri: 's3://bucket/stages'}\n"
        f"schedule: {{kind: {kind}}}\n"
    )
    return command(*RETRAIN, "--schedule", "@daily", "--cluster-config", str(file))


def schedules(api: SimulatedApi) -> set[str]:
    return {plural for plural, _ in api.objects if plural in KINDS.values()}


@pytest.mark.parametrize(
    ("before", "after"), [("cron_job", "ray_cron_job"), ("ray_cron_job", "cron_job")]
)
def test_a_schedule_of_the_other_kind_is_replaced(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path, before: str, after: str
) -> None:
    schedule_by(before, tmp_path, orchestrator_command)
    answer = schedule_by(after, tmp_path, orchestrator_command)
    assert answer.returncode == 0, answer.stderr
    assert schedules(api) == {KINDS[after]}
    kind = {"cron_job": "CronJob", "ray_cron_job": "RayCronJob"}[before]
    assert f"retrain-digits: replaces the {kind} of this name, which is removed\n" in answer.stdout


def test_a_foreign_schedule_of_the_other_kind_is_not_touched(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    theirs = {"metadata": {"name": "retrain-digits", "labels": {}}, "spec": {"schedule": "@daily"}}
    api.objects["cronjobs", "retrain-digits"] = theirs
    answer = schedule_by("ray_cron_job", tmp_path, orchestrator_command)
    assert answer.returncode == 2
    assert "CronJob retrain-digits was not submitted by this program" in answer.stderr
    assert schedules(api) == {"cronjobs"}


def test_a_schedule_of_the_other_kind_that_cannot_be_removed_is_named(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    schedule_by("cron_job", tmp_path, orchestrator_command)
    api.refusals["DELETE", "cronjobs"] = (
        403,
        status(403, "Forbidden", 'User "ann" cannot delete resource "cronjobs"'),
    )
    answer = schedule_by("ray_cron_job", tmp_path, orchestrator_command)
    assert answer.returncode == 2
    assert "the earlier CronJob cannot be removed (ann may not delete cronjobs)" in answer.stderr
    assert "both start ticks now: `kubectl delete cronjob retrain-digits`" in answer.stderr


def test_cancel_removes_schedules_of_both_kinds(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    schedule_by("cron_job", tmp_path, orchestrator_command)
    earlier = api.objects["cronjobs", "retrain-digits"]
    schedule_by("ray_cron_job", tmp_path, orchestrator_command)
    api.objects["cronjobs", "retrain-digits"] = earlier
    answer = orchestrator_command("cancel", "retrain-digits")
    assert answer.stdout == "retrain-digits: schedule cancelled (CronJob and RayCronJob)\n"
    assert schedules(api) == set()


def test_a_suspended_schedule_is_reported_on_resubmission(
    api: SimulatedApi, orchestrator_command: Command, tmp_path: Path
) -> None:
    assert "suspended" not in schedule_by("cron_job", tmp_path, orchestrator_command).stdout
    api.objects["cronjobs", "retrain-digits"]["spec"]["suspend"] = True
    answer = schedule_by("cron_job", tmp_path, orchestrator_command)
    assert "retrain-digits: suspended, so no tick starts; `kubectl patch cronjob" in (answer.stdout)


def test_a_job_created_by_hand_from_a_schedule_is_a_tick_due_now(
    api: SimulatedApi,
    orchestrator_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`kubectl create job manual --from=cronjob/retrain-digits`: its name contains no time."""
    schedule_by("cron_job", tmp_path, orchestrator_command)
    template = api.objects["cronjobs", "retrain-digits"]["spec"]["jobTemplate"]["spec"]["template"]
    [container] = template["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "manual"))
    goes_through(api, [SUCCEEDED])
    answer = orchestrator_command(*RETRAIN, "--cluster-config", str(tmp_path / "cron_job.yaml"))
    assert answer.returncode == 0, answer.stderr
    job = the_job(api)
    assert job["metadata"]["labels"]["orchestrator/schedule"] == "retrain-digits"
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    [due] = [each["value"] for each in head["env"] if each["name"] == "ORCHESTRATOR_SCHEDULED_AT"]
    age = datetime.now(UTC) - datetime.fromisoformat(due)
    assert timedelta(0) <= age < timedelta(minutes=5)
