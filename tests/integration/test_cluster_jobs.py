"""The command of a rendered RayJob works, with everything around it real except Kubernetes.

A Ray cluster with token authentication, Ray's Jobs API, the environments of the images, and an
MLflow server behind basic-auth and PostgreSQL. The tests do KubeRay's part of a RayJob themselves:
`ray start --head`, the files of the ConfigMap in a folder, and the shell command of KubeRay's
submitter.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from mlflow import MlflowClient

from orchestrator.cluster.ray_jobs import Submission
from orchestrator.cluster.submissions import Request, render
from orchestrator.cluster.ticks import tick_of
from orchestrator.config.cluster import ClusterConfig
from tests.integration.processes import processes_of
from tests.integration.servers import free_port, postgres, postgres_programs
from tests.starters import try_starters
from tests.waiting import PATIENCE_SECONDS, wait_for_server, wait_until

if TYPE_CHECKING:
    from orchestrator.config import Experiment

ROOT = Path(__file__).parents[2]
# Inputs of the Dockerfile's two images.
LOCKS = {
    "orchestrator": ROOT / "k8s" / "requirements.lock",
    "mlflow": ROOT / "k8s" / "image" / "mlflow.lock",
}
USER, PASSWORD = "runner", "a-long-enough-password"
UV = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".uv" / "bin"))

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(
        postgres_programs() is None,
        reason="PostgreSQL is not installed (apt-get install postgresql)",
    ),
    pytest.mark.skipif(
        UV is None, reason="uv is not installed (pip install uv): it makes the image's environment"
    ),
    pytest.mark.skipif(
        not all(lock.exists() for lock in LOCKS.values()),
        reason="the image's lock files are not here",
    ),
]


# --- environment ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the program folders of both images' environments; links into uv's cache make them in
    seconds.
    """
    folder = tmp_path_factory.mktemp("environments")
    for name, lock in LOCKS.items():
        python = folder / name / "bin" / "python"
        subprocess.run(
            [str(UV), "venv", "-q", "--python", sys.executable, str(folder / name)], check=True
        )
        sync = [
            str(UV),
            "pip",
            "sync",
            "-q",
            "--python",
            str(python),
            "--require-hashes",
            str(lock),
        ]
        made = subprocess.run(sync, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(
                f"the environment of the image {name} cannot be made here:"
                f" {made.stderr.strip().splitlines()[-1]}"
            )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    install = [
        str(UV),
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--python",
        str(folder / "orchestrator" / "bin" / "python"),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    return {name: folder / name / "bin" for name in LOCKS}


@pytest.fixture(scope="module")
def mlflow_uri(
    environments: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start MLflow as k8s/base runs it: basic-auth, PostgreSQL, files through the server."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    # not below pytest's own folder: this user's next pytest run would take it away from
    # PostgreSQL's user
    with tempfile.TemporaryDirectory(prefix="pg") as database, postgres(Path(database)) as backend:
        (folder / "basic_auth.ini").write_text(
            (ROOT / "k8s" / "base" / "basic_auth.ini")
            .read_text()
            .replace("postgresql:///mlflow", backend)
        )
        environment = {
            "PATH": f"{environments['mlflow']}:{os.environ['PATH']}",
            "HOME": str(folder),
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_AUTH_ADMIN_USERNAME": USER,
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        store = [
            "--backend-store-uri",
            backend,
            "--artifacts-destination",
            str(folder / "artifacts"),
        ]
        command = [
            "mlflow",
            "server",
            "--app-name",
            "basic-auth",
            *store,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                executable=environments["mlflow"] / "mlflow",
            )
        try:
            wait_for_server(
                server, lambda: _answers(f"http://127.0.0.1:{port}/health"), folder / "log"
            )
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Iterator[None]:
    """Return the credentials that pods get from a Secret; the tests' client needs them too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        yield


def _answers(url: str, token: str = "") -> bool:
    request = urllib.request.Request(  # noqa: S310 - our own server
        url, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - as above
    except OSError:
        return False
    return True


class RayCluster:
    """One node with Ray's head, as in the head's pod; it has its own files and scratch space."""

    def __init__(self, programs: Path, scratch: Path, num_cpus: int) -> None:
        self.scratch = scratch
        self.token = secrets.token_hex(32)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(scratch),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_JOB_STOP_WAIT_TIME_S": "15",  # as in the head's pod
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",  # in a pod the program's lines are JSON
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }
        options = {
            "port": free_port(),
            "dashboard-port": self.port,
            "temp-dir": scratch / "ray",
            "num-cpus": num_cpus,
        }
        # a pod has its own; here two clusters may run at once
        options |= {
            f"{name}-port": free_port()
            for name in ("dashboard-agent-listen", "ray-client-server", "metrics-export")
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (scratch / "head.log").open("ab") as log:
            self.head = subprocess.Popen(
                [
                    str(programs / "ray"),
                    "start",
                    "--head",
                    "--block",
                    "--include-dashboard",
                    "true",
                    *words,
                ],
                env=self.environment,
                cwd=scratch,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for_server(
                self.head,
                lambda: _answers(f"{self.address}/api/version", self.token),
                scratch / "head.log",
            )
        except BaseException:
            self.kill()
            raise

    def submit(self, submission: Submission, job_id: str) -> "subprocess.Popen[str]":
        """Run the submitter's pod: KubeRay 1.7's command, with the files of the ConfigMap."""
        files = self.mount(submission)
        spec = {
            key: _here(value, files, self.scratch)
            for key, value in submission.job["spec"].items()
            if key in ("entrypoint", "runtimeEnvYAML")
        }
        runtime_env = (
            f"--runtime-env-json {json.dumps(json.dumps(yaml.safe_load(spec['runtimeEnvYAML'])))}"
            if "runtimeEnvYAML" in spec
            else ""
        )
        script = (
            f"if ! ray job status --address {self.address} {job_id} >/dev/null 2>&1 ; then ray job"
            f" submit --address {self.address} --no-wait {runtime_env} --submission-id {job_id} --"
            f" {spec['entrypoint']} ; fi ; ray job logs --address {self.address} --follow {job_id}"
        )
        return subprocess.Popen(
            ["/bin/bash", "-ce", "--", script],
            env=self.environment,
            cwd=self.scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, submission: Submission, job_id: str) -> list[dict[str, Any]]:
        """Wait for the end, which must be a success; return the program's output."""
        said, trouble = self.submit(submission, job_id).communicate(timeout=PATIENCE_SECONDS)
        # on a busy machine the submitter may lose the connection that it follows
        wait_until(
            lambda: self.ask("GET", job_id)["status"] in ("SUCCEEDED", "FAILED", "STOPPED"),
            pause_seconds=0.5,
        )
        state = self.ask("GET", job_id)
        assert state["status"] == "SUCCEEDED", f"{said}\n{trouble}\n{state}"
        return [
            json.loads(line)
            for line in self.ask("GET", f"{job_id}/logs")["logs"].splitlines()
            if line.startswith("{")
        ]

    def mount(self, submission: Submission) -> Path:
        """Mount the ConfigMap as kubelet does: links into a folder that can be swapped
        atomically.
        """
        folder = self.scratch / "files" / str(submission.files["metadata"]["name"])
        if not folder.exists():
            (folder / "..2026_11_22").mkdir(parents=True)
            (folder / "..data").symlink_to("..2026_11_22")
            for name, text in submission.files["data"].items():
                (folder / "..data" / name).write_text(text)
                (folder / name).symlink_to(Path("..data") / name)
        return folder

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """Return the answer of Ray's Jobs API to a request in KubeRay's form."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.address}/api/jobs/{path}", headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(answer)
        return found

    def kill(self) -> None:
        """Kill every process at once, as when nodes vanish."""
        for _ in range(100):
            for process in processes_of(self.head.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.killpg(self.head.pid, signal.SIGKILL)
            if not processes_of(self.head.pid):
                break
            time.sleep(0.1)
        self.head.wait()


def _here(text: str, files: Path, scratch: Path) -> str:
    """Replace the pod's folders by local ones."""
    return re.sub(r"/tmp/(?=(jobs|spool|data)\b)", f"{scratch}/", text).replace(  # noqa: S108
        "/etc/orchestrator", str(files)
    )


@contextmanager
def ray_cluster(programs: Path, num_cpus: int = 2) -> Iterator[RayCluster]:
    """Yield a running cluster, and remove it afterwards."""
    scratch = Path(
        tempfile.mkdtemp(prefix="rc", dir="/tmp")
    )  # the paths of Ray's sockets have a maximum length
    cluster = RayCluster(programs, scratch, num_cpus)
    try:
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(environments: dict[str, Path]) -> Iterator[RayCluster]:
    """Return one cluster for all tests that do not break it."""
    with ray_cluster(environments["orchestrator"]) as running:
        yield running


class Team:
    """A user's files and cluster configuration."""

    def __init__(self, folder: Path, experiment: "Experiment", mlflow_uri: str) -> None:
        self.folder = folder
        self.client = MlflowClient(mlflow_uri, mlflow_uri)
        values = experiment.model_dump(mode="json", exclude={"store", "tracking", "execution"})
        values["data"].pop("cache_dir")
        self.name = values["name"] = f"team-{folder.name[:40]}"
        self.experiment = folder / "experiment.yaml"
        self.experiment.write_text(yaml.safe_dump(values))
        self.config = ClusterConfig.model_validate(
            {"tracking": {"uri": mlflow_uri}, "storage": {"mount_path": str(folder / "store")}}
        )

    def submission(
        self,
        kind: Any,  # noqa: ANN401
        *files: Path,
        overrides: tuple[str, ...] = (),
        **options: Any,  # noqa: ANN401
    ) -> Submission:
        """Return the submission that `orchestrator submit` would send."""
        return render(Request(kind, files, [*overrides], **options), self.config)

    def runs(self) -> list[tuple[str, Mapping[str, float]]]:
        """Return state and metrics of all runs, oldest first."""
        experiments = [
            found.experiment_id
            for found in self.client.search_experiments()
            if found.name == self.name
        ]
        found = self.client.search_runs(experiments, order_by=["attributes.start_time ASC"])
        return [(run.info.status, run.data.metrics) for run in found]


@pytest.fixture
def team(tmp_path: Path, tiny_experiment: "Experiment", mlflow_uri: str) -> Team:
    return Team(tmp_path, tiny_experiment, mlflow_uri)


# --- jobs -----------------------------------------------------------------------------------------


def test_a_run_is_tracked_in_mlflow_and_prints_json(cluster: RayCluster, team: Team) -> None:
    spoken = cluster.run(
        team.submission("run", team.experiment, overrides=("tracking.models=none",)), "run-1"
    )
    assert [status for status, _ in team.runs()] == ["FINISHED"]
    [(_, metrics)] = team.runs()
    assert metrics["final/cached_stages"] == 0
    assert {frozenset(line) for line in spoken} == {
        frozenset({"time", "level", "run", "task", "stage", "message"})
    }
    assert {(line["task"], line["stage"]) for line in spoken} >= {
        (0, "teacher[0]"),
        (2, "student[2]"),
    }
    [folder] = (team.folder / "store" / "jobs").iterdir()
    assert (folder / "summary.json").exists(), "what it has written is on the volume"
    assert not list((team.folder / "store" / "spool").glob("*/journal.jsonl")), (
        "MLflow has taken everything"
    )


def test_requests_without_the_token_are_rejected(cluster: RayCluster) -> None:
    for token in ("", "wrong"):
        request = urllib.request.Request(  # noqa: S310
            f"{cluster.address}/api/jobs/",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)  # noqa: S310 - our own server
        with refused.value as answer:
            assert answer.code in (401, 403)


def test_a_job_on_an_existing_cluster_brings_its_files(cluster: RayCluster, team: Team) -> None:
    submission = team.submission(
        "run", team.experiment, overrides=("tracking.models=none",), ray_cluster="up"
    )
    assert "/etc" not in submission.job["spec"]["entrypoint"]
    cluster.run(submission, "up-1")
    assert [status for status, _ in team.runs()] == ["FINISHED"]


def test_an_invalid_experiment_ends_the_job_with_its_exit_code(
    cluster: RayCluster, team: Team
) -> None:
    submission = team.submission(
        "run", team.experiment, overrides=("scenario.class_order=[0, 1, 77]",)
    )
    cluster.submit(submission, "wrong-1").communicate(timeout=PATIENCE_SECONDS)
    state = cluster.ask("GET", "wrong-1")
    assert (state["status"], state["driver_exit_code"]) == ("FAILED", 2)
    assert state["message"].startswith("Job entrypoint command failed with exit code 2, ")


def test_the_run_of_a_cancelled_job_is_killed_in_mlflow(cluster: RayCluster, team: Team) -> None:
    """The test stops the command as KubeRay does when its RayJob is deleted."""
    submission = team.submission(
        "run", team.experiment, overrides=("tracking.models=none", "student.training.epochs=2000")
    )
    [head] = submission.job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"][
        "containers"
    ]
    assert {
        "name": "RAY_JOB_STOP_WAIT_TIME_S",
        "value": cluster.environment["RAY_JOB_STOP_WAIT_TIME_S"],
    } in head["env"]
    submitter = cluster.submit(submission, "stopped-1")
    wait_until(lambda: [status for status, _ in team.runs()] == ["RUNNING"], pause_seconds=0.5)
    cluster.ask("POST", "stopped-1/stop")
    submitter.communicate(timeout=PATIENCE_SECONDS)
    wait_until(lambda: [status for status, _ in team.runs()] == ["KILLED"], pause_seconds=0.5)
    assert cluster.ask("GET", "stopped-1")["status"] == "STOPPED"


def test_a_sweep_is_tracked_in_mlflow(cluster: RayCluster, team: Team) -> None:
    space = team.folder / "space.yaml"
    space.write_text(
        "parameters: {student.temperature: {kind: choice, values: [2, 4]}}\nsearcher: grid\n"
    )
    cluster.run(team.submission("sweep", space, team.experiment), "sweep-1")
    assert [status for status, _ in team.runs()] == ["FINISHED"] * 3


def test_a_retraining_tick_promotes_and_a_late_one_is_skipped(
    cluster: RayCluster, team: Team, deliver: Callable[[Path, str], None]
) -> None:
    arrivals = team.folder / "store" / "incoming"
    deliver(arrivals, "first")
    source = {
        "path": str(arrivals),
        "settled_seconds": 0,
        "image_size": 8,
        "num_channels": 1,
        "min_images_per_class": 5,
    }
    gate = {
        "min_new_accuracy": 0,
        "margin": 1,
        "max_taken": 1,
        "max_class_drop": 1,
        "max_forgetting": 1,
        "min_agreement": 0,
    }
    file = team.folder / "retraining.yaml"
    file.write_text(
        yaml.safe_dump({"experiment": "experiment.yaml", "source": source, "gate": gate})
    )
    assert cluster.run(team.submission("retrain", file), "tick-1")[-1]["message"].startswith(
        "promoted: "
    )
    aliases = team.client.get_registered_model(f"{team.name}-student").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"champion": "1"}
    late = team.submission(
        "retrain", file, overrides=("max_tick_age_seconds=60",), tick=tick_of("retrain-x-29384756")
    )
    [head] = late.job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    [moment] = [
        variable["value"]
        for variable in head["env"]
        if variable["name"] == "ORCHESTRATOR_SCHEDULED_AT"
    ]
    late.job["spec"]["entrypoint"] = (
        f"env ORCHESTRATOR_SCHEDULED_AT={moment} {late.job['spec']['entrypoint']}"
    )
    assert cluster.run(late, "tick-2")[-1]["message"].startswith("nothing_to_do: this tick was due")


def test_a_retry_on_a_new_cluster_resumes_from_the_store(
    environments: dict[str, Path], team: Team
) -> None:
    """Every process of the first attempt is killed once a stage is stored; the second attempt runs
    the same command on a new cluster.
    """
    submission = team.submission(
        "run", team.experiment, overrides=("tracking.models=none", "student.training.epochs=40")
    )

    def num_stages() -> int:
        """Return the number of stored stages; their evaluations are artifacts too."""
        return sum(
            '"stage":' in manifest.read_text()
            for manifest in (team.folder / "store").glob("*/manifest.json")
        )

    with (
        ray_cluster(environments["orchestrator"]) as first,
        first.submit(submission, "attempt-1") as submitter,
    ):
        try:
            wait_until(lambda: num_stages() >= 2)
        finally:
            first.kill()
            submitter.kill()
    stored = num_stages()
    assert stored < 6, "the run was over before it was killed"
    with ray_cluster(environments["orchestrator"]) as second:
        second.run(submission, "attempt-2")
    (before, _), (after, metrics) = team.runs()
    assert (before, after) == ("FAILED", "FINISHED")
    assert metrics["final/cached_stages"] == stored


def test_a_retried_sweep_resumes_from_its_ledger(environments: dict[str, Path], team: Team) -> None:
    """No trial is counted twice, and MLflow has one sweep.

    A trial that was killed while the server created its run is not in the ledger yet; that run
    stays empty and failed.
    """
    space = team.folder / "space.yaml"
    space.write_text(
        "parameters: {student.temperature: {kind: choice, values: [2, 3, 4, 5]}}\nsearcher: grid\n"
    )
    submission = team.submission(
        "sweep", space, team.experiment, overrides=("student.training.epochs=30",)
    )
    jobs = team.folder / "store" / "jobs"
    with (
        ray_cluster(environments["orchestrator"]) as first,
        first.submit(submission, "attempt-1") as submitter,
    ):
        try:
            wait_until(
                lambda: any(
                    '"finished"' in ledger.read_text() for ledger in jobs.glob("*/ledger.jsonl")
                )
            )
        finally:
            first.kill()
            submitter.kill()
    assert not list(jobs.glob("*/summary.json")), "the sweep was over before it was killed"
    with ray_cluster(environments["orchestrator"]) as second:
        spoken = second.run(submission, "attempt-2")
    assert any(
        re.search("all combinations, grid search, [1-4] known", line["message"]) for line in spoken
    )
    complete = [status for status, metrics in team.runs() if status == "FINISHED" or metrics]
    assert complete == ["FINISHED"] * 5
    assert len(team.runs()) <= 6


@pytest.fixture
def deliver() -> Callable[[Path, str], None]:
    """Write a file with images of two digits into a folder."""
    import io

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image
    from sklearn.datasets import load_digits

    def put(folder: Path, name: str) -> None:
        folder.mkdir(parents=True)
        data = load_digits()
        rows = [row for digit in (0, 1) for row in np.flatnonzero(data.target == digit)[:30]]
        images = []
        for row in rows:
            stream = io.BytesIO()
            Image.fromarray(np.rint(data.images[row] * (255 / 16)).astype(np.uint8)).save(
                stream, "PNG"
            )
            images.append(stream.getvalue())
        pq.write_table(
            pa.table({"image": images, "label": [int(data.target[row]) for row in rows]}),
            folder / f"{name}.parquet",
        )

    return put


def test_the_wheel_alone_runs_its_starters_in_another_folder(
    environments: dict[str, Path], tmp_path: Path
) -> None:
    program = environments["orchestrator"] / "orchestrator"
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    try_starters(program, metadata.version("continual-orchestrator"), tmp_path, variables)
