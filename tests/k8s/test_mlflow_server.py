"""The MLflow server as the Deployment starts it: packages, command and settings, with a real
PostgreSQL, and its maintenance jobs.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.integration.servers import free_port, postgres, postgres_programs
from tests.k8s.installation import (
    SCRIPTS,
    Installation,
    container_of,
    start_mlflow,
    wait_for_mlflow,
)
from tests.k8s.rendering import K8S, named, render
from tests.waiting import wait_for_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        postgres_programs() is None,
        reason="no PostgreSQL here (Debian: apt-get install postgresql)",
    ),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the packages of the server's image, installed from its lock file."""
    own = K8S.parent / ".uv" / "bin" / "uv"
    uv = str(own) if own.is_file() else shutil.which("uv")
    if uv is None:
        pytest.skip("no uv here: it installs the packages of the server's image")
    folder = tmp_path_factory.mktemp("mlflow image") / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", "3.11", folder], check=True)
    install = [
        uv,
        "pip",
        "sync",
        "--quiet",
        "--python",
        str(folder),
        "--require-hashes",
        str(K8S / "image" / "mlflow.lock"),
    ]
    if subprocess.run(install, check=False, capture_output=True).returncode != 0:
        pytest.skip("the packages of the server's image cannot be fetched")
    return folder


@pytest.fixture(scope="module")
def installation(
    programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Return a running server."""
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "backups").mkdir()
    with postgres(tmp_path_factory.mktemp("postgres")) as uri:
        port = uri.rpartition(":")[2].partition("/")[0]
        database = {
            "PGHOST": "127.0.0.1",
            "PGPORT": port,
            "PGUSER": "mlflow",
            "PGDATABASE": "mlflow",
        }
        subprocess.run(["createdb", "mlflow"], env={**os.environ, **database}, check=True)
        here = Installation(programs, folder, database, free_port())
        here.ini.write_text(
            named(render("local"), "ConfigMap", "mlflow-auth")["data"]["basic_auth.ini"],
            encoding="utf-8",
        )
        process = start_mlflow(here)
        try:
            wait_for_mlflow(here, process)
            yield here
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_requests_need_a_password_except_for_probes(installation: Installation) -> None:
    experiments = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert installation.status("/health", host="10.0.0.7:5000") == 200
    assert installation.status(experiments) == 401
    assert installation.status(experiments, user="admin:password1234") == 401
    assert installation.status(experiments, user="admin:admin-for-tests") == 200


def test_the_server_answers_only_to_its_names_in_the_cluster(installation: Installation) -> None:
    path, user = "/api/2.0/mlflow/experiments/get?experiment_id=0", "admin:admin-for-tests"
    for host in ("mlflow:5000", "mlflow.orchestrator.svc.cluster.local:5000", "localhost:8080"):
        assert installation.status(path, host, user) == 200
    for host in ("evil.example.org", "mlflow.evil.example.org:5000", "10.0.0.7:5000"):
        assert installation.status(path, host, user) == 403


def test_users_can_be_added_and_given_new_passwords(installation: Installation) -> None:
    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    added = installation.add_user("newcomer", "first-password-of-newcomer")
    assert (added.returncode, added.stdout) == (0, "added newcomer\n"), added.stderr
    assert installation.status(path, user="newcomer:first-password-of-newcomer") == 200
    changed = installation.add_user("newcomer", "second-password-of-newcomer")
    assert (changed.returncode, changed.stdout) == (0, "newcomer has the new password\n"), (
        changed.stderr
    )
    assert installation.status(path, user="newcomer:second-password-of-newcomer") == 200


def test_runs_survive_a_backup_and_a_restore(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("orchestrator", "colleague"):
        assert installation.add_user(user, f"password-of-{user}").returncode == 0
    client = _client(installation, monkeypatch, "orchestrator")
    experiment = client.create_experiment("digits")
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "final/accuracy", 0.9)
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert (installation.folder / "artifacts").is_dir(), "artifacts go through the server"

    _client(installation, monkeypatch, "colleague")
    assert client.get_run(run.info.run_id).data.metrics == {"final/accuracy": 0.9}
    with pytest.raises(MlflowException, match="Permission denied"):
        client.log_metric(run.info.run_id, "final/accuracy", 1.0)

    _client(installation, monkeypatch, "orchestrator")
    backup = installation.run(("CronJob", "postgres-backup"), "bash", str(SCRIPTS / "backup.sh"))
    assert backup.returncode == 0, backup.stderr
    client.log_metric(run.info.run_id, "after/backup", 1.0)
    restored = _restore(installation)
    assert (restored.returncode, restored.stdout.startswith("restored mlflow-")) == (0, True), (
        restored.stderr
    )
    assert client.get_run(run.info.run_id).data.metrics == {"final/accuracy": 0.9}


def _client(installation: Installation, monkeypatch: pytest.MonkeyPatch, user: str) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"password-of-{user}")
    return MlflowClient(installation.uri)


def _restore(
    installation: Installation, backup: str = "newest"
) -> "subprocess.CompletedProcess[str]":
    return installation.run(
        ("CronJob", "postgres-restore"), "bash", str(SCRIPTS / "restore.sh"), BACKUP=backup
    )


def _tables(installation: Installation) -> str:
    query = "select count(*) from experiments"
    return subprocess.run(
        ["psql", "-At", "-c", query],
        env={**os.environ, **installation.database},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_an_unreadable_backup_changes_nothing(installation: Installation) -> None:
    assert (
        installation.run(
            ("CronJob", "postgres-backup"), "bash", str(SCRIPTS / "backup.sh")
        ).returncode
        == 0
    )
    backups = installation.folder / "backups"
    whole = max(backups.glob("mlflow-*.dump")).read_bytes()
    before = _tables(installation)
    for name, content in {
        "mlflow-torn.dump": whole[: len(whole) // 2],
        "mlflow-empty.dump": b"",
    }.items():
        (backups / name).write_bytes(content)
        assert _restore(installation, name).returncode != 0
        assert _tables(installation) == before
        (backups / name).unlink()
    missing = _restore(installation, "mlflow-nonesuch.dump")
    assert missing.returncode == 2
    assert "no backup mlflow-nonesuch.dump" in missing.stderr
    assert max(backups.glob("mlflow-*.dump")).name in missing.stderr


def test_the_newest_backups_are_kept_and_a_failed_one_removes_none(
    installation: Installation,
) -> None:
    backups = installation.folder / "backups"
    for day in range(1, 6):
        (backups / f"mlflow-2020010{day}T000000Z.dump").touch()
    script = ("bash", str(SCRIPTS / "backup.sh"))
    failed = installation.run(
        ("CronJob", "postgres-backup"), *script, BACKUPS_KEPT="2", PGPORT=str(free_port())
    )
    assert failed.returncode != 0
    assert len(list(backups.glob("mlflow-2020*.dump"))) == 5
    assert list(backups.glob("*.part")) == []
    time.sleep(1.1)  # names have a resolution of one second
    assert (
        installation.run(("CronJob", "postgres-backup"), *script, BACKUPS_KEPT="2").returncode == 0
    )
    kept = sorted(file.name for file in backups.glob("mlflow-*.dump"))
    assert len(kept) == 2
    assert not any("2020" in name for name in kept)


def test_an_upgrade_of_an_up_to_date_database_changes_nothing(installation: Installation) -> None:
    before = _tables(installation)
    [program, *arguments] = container_of("CronJob", "mlflow-upgrade")["command"]
    environment = installation.environment("CronJob", "mlflow-upgrade")
    words = [environment[word[2:-1]] if word.startswith("$(") else word for word in arguments]
    done = installation.run(
        ("CronJob", "mlflow-upgrade"), str(installation.programs / "bin" / program), *words
    )
    assert done.returncode == 0, done.stderr
    assert _tables(installation) == before


def test_studies_have_their_own_database_which_the_dashboard_shows(
    installation: Installation,
) -> None:
    making = ("CronJob", "studies-database")
    script = ("bash", str(K8S / "components" / "dashboard" / "make_studies.sh"))
    password = {"STUDIES_PASSWORD": 'it\'s a "secret"'}
    for _ in range(2):  # repeating it harms nothing
        made = installation.run(making, *script, **password)
        assert (made.returncode, made.stdout) == (0, "the database studies is there\n"), made.stderr
    own = {"PGUSER": "studies", "PGDATABASE": "studies"}
    tables = container_of(*making)["command"]
    done = installation.run(
        making, str(installation.programs / "bin" / tables[0]), *tables[1:], **own
    )
    assert done.returncode == 0, done.stderr
    elsewhere = installation.run(
        making, "psql", "--command", "SELECT 1", **own | {"PGDATABASE": "mlflow"}
    )
    assert "permission denied for database" in elsewhere.stderr

    container, port = container_of("Deployment", "dashboard"), free_port()
    command: list[str] = [*container["command"], *container["args"]]
    program, rest = command[0], command[1:]
    words = [
        str(port) if word == str(container["ports"][0]["containerPort"]) else word for word in rest
    ]
    environment = installation.environment("Deployment", "dashboard") | own
    log = installation.folder / "dashboard log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(installation.programs / "bin" / program), *words],
            env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    shown = replace(installation, port=port)
    try:
        probe = container["startupProbe"]["httpGet"]["path"]
        wait_for_server(process, partial(_answers, shown, probe), log)
        assert shown.status("/api/studies") == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(server: Installation, path: str) -> bool:
    try:
        return server.status(path) == 200
    except OSError:
        return False
