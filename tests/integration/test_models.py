"""Exported models: trained, packaged, delivered to real stores, and loaded where this project is
not installed.
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion

from orchestrator.config import Experiment
from orchestrator.models.network import predict
from orchestrator.stages import Model, StageRunner, Work, prepare_work
from orchestrator.tracking.mlflow.model_delivery import deliver_model
from orchestrator.tracking.mlflow.packaging import package_model
from orchestrator.tracking.mlflow.runs import Store, open_store
from orchestrator.tracking.model_facts import ModelFacts
from orchestrator.tracking.outbox import entries
from tests.every_method import METHODS, small
from tests.integration.servers import mlflow_server

REGISTERED = "digits student"
CPU = torch.device("cpu")


class Learned:
    """A finished run of a method: its models, and images for predictions."""

    def __init__(self, experiment: Experiment, method: str) -> None:
        self.work: Work = prepare_work(
            Experiment.model_validate({**experiment.model_dump(), "method": small(method)})
        )
        runner = StageRunner(self.work, CPU, lambda _: None)
        for stage in self.work.stages:
            runner.obtain(stage)
        last = {stage.role: stage for stage in self.work.stages}
        self.models: dict[str, Model] = {
            role: self.work.model_from(self.work.artifact_of(stage), stage, CPU)
            for role, stage in last.items()
        }

    def images(self, num: int) -> torch.Tensor:
        """Return some images."""
        return torch.from_numpy(self.work.scenario.table.images[:num].copy())

    def package(self, role: str, folder: Path) -> Path:
        """Package one of the models into the folder, and return it; its accuracy is made up."""
        facts = ModelFacts(
            "teacher" if role == "teacher" else "student",
            self.work.experiment.method.kind,
            self.work.scenario.table.name,
            self.work.scenario.table.fingerprint,
            self.work.scenario.class_names,
            self.models[role].network.num_parameters(),
            *(0.9538, 0.9761, 0.0384),
        )
        package_model(self.models[role].network, self.work.scenario.shape, facts, folder)
        return folder


@pytest.fixture(scope="module")
def learned(tiny_experiment: Experiment) -> Learned:
    return Learned(tiny_experiment, "dual_teacher")


@pytest.fixture(scope="module")
def package(learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learned.package("student", tmp_path_factory.mktemp("packages") / "student")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db", "models")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db", folder) as running:
        yield open_store(running.uri, "models")


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def new_entry(store: Store, package: Path, registered_name: str = REGISTERED) -> entries.Model:
    run_id = store.client.create_run(store.experiment_id).info.run_id
    return entries.Model(
        run=run_id, folder=package, name="student", registered_name=registered_name
    )


def logged(store: Store, run_id: str) -> list[LoggedModel]:
    found = store.client.search_logged_models([store.experiment_id], max_results=1000)
    return [model for model in found if model.source_run_id == run_id]


def versions(store: Store, run_id: str) -> list[ModelVersion]:
    return list(store.client.search_model_versions(f"run_id = '{run_id}'"))


def outputs(store: Store, run_id: str) -> list[str]:
    run = store.client.get_run(run_id)
    return [output.model_id for output in run.outputs.model_outputs] if run.outputs else []


def assert_delivered_once(store: Store, run_id: str) -> None:
    [model] = logged(store, run_id)
    [version] = versions(store, run_id)
    assert model.status == LoggedModelStatus.READY
    assert outputs(store, run_id) == [model.model_id]
    assert (version.name, version.status, version.source) == (
        REGISTERED,
        "READY",
        model.artifact_location,
    )
    links = json.loads(model.tags["mlflow.modelVersions"])
    assert [(link["name"], str(link["version"])) for link in links] == [
        (version.name, str(version.version))
    ]


# --- packages of every method ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_both_packaged_models_of_every_method_predict_like_the_originals(
    method: str, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    learned = Learned(tiny_experiment, method)
    for role, model in learned.models.items():
        loaded = mlflow.pyfunc.load_model(str(learned.package(role, tmp_path / role)))
        for num in (1, 7):
            expected = predict(model.network, learned.images(num)).numpy()
            assert np.array_equal(loaded.predict(learned.images(num).numpy()), expected)


# --- delivery -------------------------------------------------------------------------------------


def test_a_delivered_model_belongs_to_its_run_with_facts_as_tags_and_few_on_its_version(
    store: Store, package: Path, learned: Learned
) -> None:
    entry = new_entry(store, package)
    model_id = deliver_model(store.client, entry.run, entry)
    assert_delivered_once(store, entry.run)
    [model], [version] = logged(store, entry.run), versions(store, entry.run)
    assert (model.model_id, model.name, model.model_type) == (model_id, "student", "classifier")
    tags, class_names = model.tags, list(learned.work.scenario.class_names)
    assert json.loads(tags["class_names"]) == class_names
    assert (tags["role"], tags["last_accuracy"], tags["forgetting"]) == (
        "student",
        "0.9538",
        "0.0384",
    )
    assert tags["dataset_fingerprint"] == learned.work.scenario.table.fingerprint
    few = {"role", "dataset", "num_classes", "last_accuracy", "orchestrator.delivery"}
    assert version.tags == {key: tags[key] for key in few}
    assert (
        version.description
        == "The student of dual_teacher on digits, 6 classes: last accuracy 95.4%, average"
        f" incremental accuracy 97.6%, forgetting 3.8%. Classes: {', '.join(class_names)}."
    )


def test_a_model_delivered_twice_is_stored_once(store: Store, package: Path) -> None:
    entry = new_entry(store, package)
    first, second = (deliver_model(store.client, entry.run, entry) for _ in range(2))
    assert first == second
    assert_delivered_once(store, entry.run)


def test_a_model_without_a_registered_name_is_not_registered(sqlite: Store, package: Path) -> None:
    entry = new_entry(sqlite, package, registered_name="")
    deliver_model(sqlite.client, entry.run, entry)
    assert len(logged(sqlite, entry.run)) == 1
    assert versions(sqlite, entry.run) == []


def test_teacher_and_student_of_a_run_are_two_models_and_versions_of_one_name(
    sqlite: Store, package: Path
) -> None:
    entry = new_entry(sqlite, package, "both")
    for name in ("teacher", "student"):
        deliver_model(sqlite.client, entry.run, entry.model_copy(update={"name": name}))
    assert {model.name for model in logged(sqlite, entry.run)} == {"teacher", "student"}
    assert sorted(int(version.version) for version in versions(sqlite, entry.run)) == [1, 2]


def test_a_folder_that_is_no_package_is_rejected_before_anything_is_sent(
    sqlite: Store, tmp_path: Path
) -> None:
    entry = new_entry(sqlite, tmp_path)
    with pytest.raises(Exception, match="is not a packaged model"):
        deliver_model(sqlite.client, entry.run, entry)
    assert logged(sqlite, entry.run) == []


def test_delivery_prints_nothing(
    sqlite: Store, package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = new_entry(sqlite, package)
    deliver_model(sqlite.client, entry.run, entry)
    assert capfd.readouterr() == ("", "")


class Killed(BaseException):
    """The simulated end of the process."""


class DyingClient:
    """Client whose process is killed at one of its requests: before sending it, or after its
    answer.
    """

    def __init__(self, client: MlflowClient, num_requests: int, *, answered: bool) -> None:
        self._client = client
        self._num_left = num_requests
        self._answered = answered

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._client, name)

        def request(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the client takes and gives
            self._num_left -= 1
            if self._num_left > 0:
                return method(*arguments, **options)
            if self._answered:
                method(*arguments, **options)
            raise Killed(name)

        return request


def is_killed(store: Store, entry: entries.Model, num_requests: int, *, answered: bool) -> bool:
    try:
        deliver_model(DyingClient(store.client, num_requests, answered=answered), entry.run, entry)  # type: ignore[arg-type]
    except Killed:
        return True
    return False


@pytest.mark.parametrize("answered", [False, True])
def test_a_delivery_killed_at_any_request_is_completed_by_the_next(
    sqlite: Store, package: Path, answered: bool
) -> None:
    num_requests = 1
    while is_killed(sqlite, entry := new_entry(sqlite, package), num_requests, answered=answered):
        deliver_model(sqlite.client, entry.run, entry)
        assert_delivered_once(sqlite, entry.run)
        num_requests += 1
    assert num_requests > 10  # the last delivery needed fewer requests than the kill's number


def test_a_model_is_complete_or_not_ready(sqlite: Store, package: Path) -> None:
    entry = new_entry(sqlite, package, registered_name="")
    # run, search, create, files: killed between the files and the one that names the ids
    assert is_killed(sqlite, entry, 4, answered=True)
    [model] = logged(sqlite, entry.run)
    assert model.status == LoggedModelStatus.PENDING
    deliver_model(sqlite.client, entry.run, entry)
    folder = Path(mlflow.artifacts.download_artifacts(model.artifact_location))
    described = mlflow.models.Model.load(str(folder))
    assert (described.run_id, described.model_id) == (entry.run, model.model_id)
    assert (folder / "data" / "model.pt2").read_bytes() == (
        package / "data" / "model.pt2"
    ).read_bytes()


# --- loading elsewhere ----------------------------------------------------------------------------

OUTSIDE = """
import json, sys
sys.path.append(sys.argv[1])
try:
    import orchestrator
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("this project can be imported here")
import mlflow, numpy, torch
torch.set_num_threads(1)
images = numpy.load("images.npy")
for store, (uri, addresses) in json.loads(sys.argv[2]).items():
    mlflow.set_tracking_uri(uri)
    for number, address in enumerate(addresses):
        model = mlflow.pyfunc.load_model(address)
        numpy.save(f"{store}_pyfunc_{number}.npy", model.predict(images))
        with torch.no_grad():
            logits = mlflow.pytorch.load_model(address)(torch.from_numpy(images))
            numpy.save(f"{store}_pytorch_{number}.npy", logits.numpy())
    print(",".join(model.metadata.metadata["class_names"]), model.metadata.run_id)
"""


def test_a_delivered_model_predicts_equally_where_this_project_is_not_installed(
    sqlite: Store, server: Store, package: Path, learned: Learned, tmp_path: Path
) -> None:
    addresses, runs = {}, []
    for name, store in (("sqlite", sqlite), ("server", server)):
        entry = new_entry(store, package)
        model_id = deliver_model(store.client, entry.run, entry)
        [version] = versions(store, entry.run)
        addresses[name] = (
            store.uri,
            [
                f"models:/{model_id}",
                f"models:/{REGISTERED}/{version.version}",
                f"runs:/{entry.run}/student",
            ],
        )
        runs.append(entry.run)
    np.save(tmp_path / "images.npy", learned.images(7).numpy())
    # -S reads no .pth file: this project, installed in place, is not on the path
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        OUTSIDE,
        sysconfig.get_path("purelib"),
        json.dumps(addresses),
    ]
    environment = {
        **os.environ,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    said = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [
        f"{','.join(learned.work.scenario.class_names)} {run}" for run in runs
    ]
    expected = predict(learned.models["student"].network, learned.images(7)).numpy()
    found = sorted(tmp_path.glob("*_py*.npy"))
    assert len(found) == 12  # two stores, three addresses, two flavours
    for file in found:
        assert np.array_equal(np.load(file), expected), file.name
