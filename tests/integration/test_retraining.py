"""Ticks of a retraining on real digits, with a real registry: each outcome, and the state that it
leaves.
"""

import errno
import hashlib
import io
import json
import re
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from sklearn.datasets import load_digits

from orchestrator.config import Experiment, Retraining
from orchestrator.errors import (
    LockedError,
    StorageUnavailableError,
    TrackingUnavailableError,
    UserInputError,
)
from orchestrator.pipelines.retraining.history import read_history
from orchestrator.pipelines.retraining.lease import held_lease, state_without_lease
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.pipelines.retraining.rollback import rollback
from orchestrator.pipelines.run import outputs
from orchestrator.reporting.history.sentences import needs
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.state import State
from orchestrator.tracking.reading import open_registry
from orchestrator.whole_files import write_whole
from tests.integration.servers import mlflow_server
from tests.page_text import text_of
from tests.unlabeled import noise, write_unlabeled
from tests.waiting import PATIENCE_SECONDS

ANYTHING = {
    "min_new_accuracy": 0,
    "old_accuracy_tolerance": 1,
    "max_forgetting": 1,
    "min_agreement": 0,
}
# Tags of a version, few enough to read its page in MLflow at a glance.
FEW_TAGS = {"role", "dataset", "num_classes", "last_accuracy"} | {
    f"orchestrator.{name}" for name in ("delivery", "state", "state_reason", "decided_by")
}
OF_STUDENT = {
    f"orchestrator.{name}" for name in ("teacher_version", "predecessor", "events", "tick")
}
NOTHING = ANYTHING | {"max_student_parameters": 1}


class House:
    """A folder into which digits are delivered, and a retraining on it, with all its files in one
    place.
    """

    def __init__(self, folder: Path, experiment: Experiment, uri: str) -> None:
        self.folder = folder
        self.arrivals = folder / "arrivals"
        self.arrivals.mkdir()
        values = experiment.model_dump(mode="json")
        values["name"] = "house"
        values["store"] = {"uri": str(folder / "store")}
        values["tracking"] |= {"uri": uri, "spool": str(folder / "spool"), "experiment": None}
        self.experiment = values
        self.uri = uri

    def retraining(self, **changes: object) -> Retraining:
        """Return the configuration, with some sections replaced."""
        source = {
            "path": str(self.arrivals),
            "settled_seconds": 0,
            "image_size": 8,
            "num_channels": 1,
            "min_images_per_class": 5,
        }
        values: dict[str, Any] = {"experiment": self.experiment, "source": source, "gate": ANYTHING}
        for section, content in changes.items():
            values[section] = (
                values.get(section, {}) | content if isinstance(content, dict) else content
            )
        return Retraining.model_validate(values)

    def tick(
        self, dry_run: bool = False, scheduled_at: datetime | None = None, **changes: object
    ) -> RetrainingOutcome:
        """Run a tick."""
        return retrain(
            self.retraining(**changes),
            self.folder / "out",
            dry_run=dry_run,
            scheduled_at=scheduled_at,
        )

    def deliver(
        self, name: str, *digits: int, part: slice = slice(30), label: Callable[[int], Any] = int
    ) -> Path:
        """Deliver a file with images of some digits."""
        data = load_digits()
        rows = [row for digit in digits for row in np.flatnonzero(data.target == digit)[part]]
        images = [_png(np.rint(data.images[row] * (255 / 16)).astype(np.uint8)) for row in rows]
        file = self.arrivals / f"{name}.parquet"
        pq.write_table(
            pa.table({"image": images, "label": [label(int(data.target[row])) for row in rows]}),
            file,
        )
        return file

    def tick_again_after_rollback(self) -> dict[str, str]:
        """Return the aliases after a rollback and a tick that found nothing to do."""
        rollback(self.retraining(), "lost")
        assert (
            self.tick(reactions={"vanished_classes": "warn", "new_classes": "warn"}).outcome
            == "nothing_to_do"
        )
        return self.aliases()

    def aliases(self) -> dict[str, str]:
        """Return the student versions by alias, after checking that the teachers have the same."""
        client = MlflowClient(self.uri, self.uri)
        found = {
            role: client.get_registered_model(f"house-{role}").aliases
            for role in ("student", "teacher")
        }
        assert found["student"].keys() == found["teacher"].keys()
        return {alias: str(version) for alias, version in found["student"].items()}

    def version_tags(self, role: str, version: str) -> dict[str, str]:
        """Return the tags of a version in the registry."""
        client = MlflowClient(self.uri, self.uri)
        return dict(client.get_model_version(f"house-{role}", version).tags)

    def stages(self) -> dict[str, bool]:
        """Return the last candidate's stages, and whether each came from the store."""
        summary = json.loads((self.folder / "out" / "candidate" / "summary.json").read_text())
        return {stage["name"]: stage["cached"] for stage in summary["stages"]}


def _content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder except the tick's output: the database, its models, stages,
    journal, spool.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file() and "out" not in path.relative_to(folder).parts
    }


def _state(house: House) -> State:
    """Return the state in the journal."""
    retraining = house.retraining()
    return state_without_lease(retraining, ModelPairs(open_registry(house.uri, "house")))


def _png(pixels: "np.ndarray[Any, Any]") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _alternating(*labels: int) -> Callable[[int], int]:
    """Return a rule that makes half of the labels wrong."""
    following = cycle(labels)
    return lambda _: next(following)


@pytest.fixture
def house(
    tmp_path: Path, tiny_experiment: Experiment, new_database: Callable[[Path], str]
) -> House:
    return House(tmp_path, tiny_experiment, new_database(tmp_path))


@pytest.fixture(scope="module")
def first_champion(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
) -> tuple[House, Path]:
    """Return a retraining with a champion of 0 and 1, and a copy of all its files."""
    house = House(folder := tmp_path_factory.mktemp("house"), tiny_experiment, new_database(folder))
    house.deliver("first", 0, 1)
    assert house.tick().outcome == "promoted"
    return house, Path(shutil.copytree(folder, tmp_path_factory.mktemp("copy") / "house"))


@pytest.fixture
def founded(first_champion: tuple[House, Path]) -> House:
    """Restore the state with a champion of 0 and 1."""
    house, copy = first_champion
    for path in house.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("mlflow.db"):
            path.unlink()
    shutil.copytree(
        copy, house.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mlflow.db*")
    )
    # MLflow keeps the database open: its content is replaced, not its file
    with (
        closing(sqlite3.connect(copy / "mlflow.db")) as before,
        closing(sqlite3.connect(house.folder / "mlflow.db")) as now,
    ):
        before.backup(now)
    return house


# --- outcomes -------------------------------------------------------------------------------------


def test_candidates_use_images_without_labels_but_their_arrival_starts_no_training(
    founded: House,
) -> None:
    camera = founded.folder / "camera"

    def delivered(number: int) -> None:
        write_unlabeled(camera / f"{number}.parquet", noise(40, seed=number))

    def found() -> dict[str, Any]:
        file = founded.folder / "out" / "candidate" / "summary.json"
        unlabeled: dict[str, Any] = json.loads(file.read_text())["unlabeled"]
        return unlabeled

    delivered(1)
    student = founded.experiment["student"] | {"backbone": {"kind": "inherited", "until": "stage1"}}
    settings: dict[str, Any] = {
        "source": {"unlabeled": {"path": str(camera)}},
        "experiment": {"student": student},
    }
    assert founded.tick(**settings).outcome == "nothing_to_do"
    founded.deliver("second", 2, 3)
    assert founded.tick(**settings).outcome == "promoted"
    first = found()
    assert 20 < first["num_images"] < 40, "a fifth is held out"
    assert [row["class"] for row in first["classes"]] == [0, 1, 2, 3]
    delivered(2)
    assert founded.tick(**settings).outcome == "nothing_to_do"
    founded.deliver("third", 4, 5)
    assert founded.tick(**settings).outcome == "promoted"
    assert 50 < found()["num_images"] < 80
    assert not [*founded.folder.rglob("unlabeled-*.arrow")]
    settings["source"]["unlabeled"]["path"] += "-elsewhere"
    with pytest.raises(UserInputError, match=r"correct source\.unlabeled\.path"):
        founded.tick(**settings)


def test_a_first_tick_makes_a_champion_and_a_second_has_nothing_to_do(founded: House) -> None:
    again = founded.tick()
    assert (again.outcome, again.candidate, again.run_id) == ("nothing_to_do", None, None)
    assert again.reason == "1 file, nothing new"
    assert founded.aliases() == {"champion": "1"}
    assert (
        json.loads((founded.folder / "out" / "summary.json").read_text())["outcome"]
        == "nothing_to_do"
    )


def test_an_empty_source_is_nothing_to_do(house: House) -> None:
    assert house.tick().outcome == "nothing_to_do"


def test_only_new_classes_are_learned_on_top_of_the_champions_stages(founded: House) -> None:
    founded.deliver("second", 2, 3)
    outcome = founded.tick()
    assert (outcome.outcome, list(outcome.new_classes)) == ("promoted", [2, 3])
    assert founded.stages() == {"teacher[1]": False, "student[1]": False}
    assert founded.aliases() == {"champion": "2", "previous": "1"}
    run = MlflowClient(founded.uri).get_run(str(outcome.run_id))
    assert run.info.status == "FINISHED"
    assert run.data.tags["orchestrator.gate.student_new_accuracy"].endswith("met")
    assert {*founded.version_tags("teacher", "2")} == FEW_TAGS
    assert {*founded.version_tags("student", "2")} == FEW_TAGS | OF_STUDENT
    assert (founded.folder / "out" / "report.html").read_text().count("<figure") == 4


def test_a_candidate_equals_the_result_of_an_undisturbed_sequence(founded: House) -> None:
    """Bit for bit: the stages have the same keys, so the store would not compute them again."""
    from orchestrator.config import load_experiment, with_values
    from orchestrator.stages import prepare_work

    founded.deliver("second", 2, 3)
    founded.tick()
    candidate = load_experiment(founded.folder / "out" / "candidate" / "experiment.yaml")
    whole = with_values(candidate, {"scenario.learned": None, "data.held_out_only": []})
    assert [stage.key for stage in prepare_work(whole).stages][-2:] == [
        stage.key for stage in prepare_work(candidate).stages
    ]


def test_old_images_and_the_stage_store_may_be_missing(house: House) -> None:
    house.deliver("a", 0, 1)
    house.deliver("b", 0, 1, part=slice(30, 60))
    house.tick()
    (house.arrivals / "a.parquet").unlink()
    shutil.rmtree(house.folder / "store")
    house.deliver("c", 2, 3)
    outcome = house.tick()
    assert outcome.outcome == "promoted"
    assert [finding.kind.value for finding in outcome.findings] == ["vanished_files", "new_classes"]
    assert house.stages() == {"teacher[1]": False, "student[1]": False}


def test_a_candidate_rejected_for_its_data_is_the_challenger_and_its_files_wait_for_a_change(
    founded: House,
) -> None:
    founded.deliver("second", 2, 3, label=_alternating(2, 3))
    rejected = founded.tick(gate={"min_new_accuracy": 1.0})
    assert rejected.outcome == "rejected"
    assert "accuracy on the new classes" in rejected.reason
    assert str(rejected.champion) == "teacher version 1, student version 1"
    assert founded.aliases() == {"champion": "1", "challenger": "2"}
    again = founded.tick()
    assert again.outcome == "nothing_to_do"
    assert "skipped until changed" in again.reason
    founded.deliver("third", 4)
    assert list(founded.tick().new_classes) == [4]  # without 2 and 3
    founded.deliver("second", 2, 3, part=slice(1, 31))
    assert list(founded.tick().new_classes) == [2, 3]
    assert founded.aliases() == {"champion": "4", "previous": "3", "challenger": "2"}
    history = read_history(open_registry(founded.uri, "house"))
    assert history.champion is not None
    assert history.champion is history.versions[3]
    assert [version.decision.state for version in history.versions] == [
        "champion",
        "rejected",
        "champion",
        "champion",
    ]
    assert "accuracy on the new classes" in history.versions[1].decision.reason
    assert "student_new_accuracy" in [
        condition.key
        for condition in history.versions[1].conditions
        if condition.verdict == "violated"
    ]
    assert all(version.conditions for version in history.versions)
    deliveries = [version.delivery for version in history.versions if version.delivery]
    assert [[*delivery.new_classes] for delivery in deliveries] == [
        ["0", "1"],
        ["2", "3"],
        ["4"],
        ["2", "3"],
    ]
    assert deliveries[3].num_images == {"2": 30, "3": 30}
    registry = open_registry(founded.uri, "house")
    earlier = json.dumps([{"name": "as an earlier release wrote it", "value": 1, "met": True}])
    registry.set_tags("student", "1", {"orchestrator.gate_conditions": earlier})
    [condition] = read_history(registry).versions[0].conditions
    assert condition.name == "as an earlier release wrote it"
    accuracies = history.champion.class_accuracies
    assert accuracies is not None
    assert len(accuracies.num_images) == 5
    assert 10 < sum(accuracies.num_images) < 60, "a fifth of 150 images is held out"
    assert history.last_tick is not None
    assert history.last_tick.outcome == "promoted"
    page = text_of((founded.folder / "out" / "report.html").read_text())
    assert "Version 4 of the student, with version 4 of the teacher, has been the champion" in page
    assert "4 versions were trained: 3 became champion, 1 was rejected." in page


def test_rejected_files_are_retried_if_configured(founded: House) -> None:
    founded.deliver("second", 2, 3)
    for _ in range(2):
        rejected = founded.tick(gate=NOTHING, reactions={"rejected_files": "retry"})
        assert rejected.outcome == "rejected"
        assert _state(founded).num_verdicts == 1, "the same verdict is not counted twice"
    assert founded.tick(reactions={"rejected_files": "retry"}).outcome == "promoted"
    assert founded.aliases() == {"champion": "2", "previous": "1"}, (
        "the same candidate is not registered twice"
    )


def test_a_dry_run_decides_and_changes_nothing(founded: House) -> None:
    founded.deliver("second", 2, 3)
    before = _content(founded.folder)
    outcome = founded.tick(dry_run=True)
    assert (outcome.outcome, outcome.is_dry, outcome.run_id, outcome.candidate) == (
        "promoted",
        True,
        None,
        None,
    )
    after = _content(founded.folder)
    assert {path: content for path, content in after.items() if path in before} == before
    new = {re.sub("[0-9a-f]{32,}.*", "KEY", path) for path in after.keys() - before.keys()}
    assert new <= {"store/KEY", "store/progress/KEY", "cache/arrivals-KEY"}, (
        "what it has learned on the way, and from which images"
    )
    founded.tick()
    assert founded.stages() == {"teacher[1]": True, "student[1]": True}


def test_known_classes_are_refreshed_with_more_images(founded: House) -> None:
    founded.deliver("second", 2, 3)
    founded.tick()
    founded.deliver("more", 2, part=slice(30, 60))
    assert founded.tick().outcome == "nothing_to_do"  # by default the tick only reports them
    outcome = founded.tick(reactions={"more_samples": "refresh"})
    assert outcome.outcome == "promoted"
    assert founded.stages() == {
        "teacher[0]": True,
        "student[0]": True,
        "teacher[1]": False,
        "student[1]": False,
    }
    assert founded.tick(reactions={"more_samples": "refresh"}).outcome == "nothing_to_do"


def test_labels_may_change_from_integers_to_text(founded: House) -> None:
    founded.deliver("words", 2, 3, label=lambda digit: f"digit {digit}")
    assert list(founded.tick().new_classes) == ["digit 2", "digit 3"]
    founded.deliver("known", 0, part=slice(30, 60), label=str)
    assert founded.tick().reason == "more images of known classes: 0 (+30 to 30)"
    assert founded.aliases() == {"champion": "2", "previous": "1"}


def test_a_file_without_images_is_ignored(founded: House) -> None:
    table = pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})
    pq.write_table(table, founded.arrivals / "empty.parquet")
    assert founded.tick().reason == "2 files, nothing new"


def test_a_class_with_too_few_images_waits(founded: House) -> None:
    founded.deliver("few", 2, part=slice(3))
    outcome = founded.tick()
    assert outcome.outcome == "nothing_to_do"
    assert "2 (3)" in outcome.reason
    founded.deliver("enough", 2, part=slice(3, 40))
    assert list(founded.tick().new_classes) == [2]


def test_a_file_that_may_still_grow_is_not_read(founded: House) -> None:
    file = founded.deliver("second", 2, 3)
    assert founded.tick(source={"settled_seconds": 3600}).outcome == "nothing_to_do"
    assert founded.tick(source={"marker": ".done"}).outcome == "nothing_to_do"
    (founded.arrivals / f"{file.name}.done").touch()
    assert (
        founded.tick(source={"marker": ".done"}).outcome == "promoted"
    )  # known, unchanged files need no marker


def test_a_tick_that_is_too_late_is_skipped(founded: House) -> None:
    founded.deliver("second", 2, 3)
    due = datetime.now(UTC) - timedelta(hours=2)
    assert founded.tick(scheduled_at=due, max_tick_age_seconds=3600.0).outcome == "nothing_to_do"
    local = due.astimezone().replace(tzinfo=None)
    assert founded.tick(scheduled_at=local, max_tick_age_seconds=3600.0).outcome == "nothing_to_do"
    assert founded.tick(scheduled_at=due, max_tick_age_seconds=7300.0).outcome == "promoted"


# --- interventions by people ----------------------------------------------------------------------


def test_a_rollback_restores_the_previous_version_and_the_rejected_files_are_not_retried(
    founded: House,
) -> None:
    founded.deliver("second", 2, 3)
    founded.tick()
    champion, rolled_back = rollback(founded.retraining(), "worse in the shop")
    assert (champion.student, rolled_back.student) == ("1", "2")
    assert founded.aliases() == {"champion": "1", "challenger": "2"}
    outcome = founded.tick()
    assert outcome.outcome == "nothing_to_do"
    assert "worse in the shop" in outcome.reason
    with pytest.raises(UserInputError, match="nothing to roll back to"):
        rollback(founded.retraining(), "")


def test_an_alias_moved_by_a_person_is_respected(founded: House) -> None:
    founded.deliver("second", 2, 3)
    founded.tick()
    MlflowClient(founded.uri, founded.uri).set_registered_model_alias(
        "house-student", "champion", "1"
    )
    again = founded.tick()
    assert (
        again.outcome,
        "moved back to teacher version 1, student version 1 by hand" in again.reason,
    ) == ("nothing_to_do", True)
    assert founded.aliases() == {"champion": "1", "challenger": "2"}, (
        "the next tick must not undo it"
    )


def test_old_versions_may_be_deleted(founded: House) -> None:
    """The previous champion, and a challenger, whose files then count as new again."""
    client = MlflowClient(founded.uri, founded.uri)
    founded.deliver("second", 2, 3)
    founded.tick()
    founded.deliver("third", 4)
    founded.tick(gate=NOTHING)
    assert founded.aliases() == {"champion": "2", "previous": "1", "challenger": "3"}
    for version in ("1", "3"):
        for role in ("student", "teacher"):
            client.delete_model_version(f"house-{role}", version)
    outcome = founded.tick(reactions={"new_classes": "warn"})
    assert (outcome.outcome, outcome.reason) == ("nothing_to_do", "new classes: 4 (30 images)")
    assert founded.aliases() == {"champion": "2"}
    with pytest.raises(UserInputError, match="has no predecessor"):
        rollback(founded.retraining(), "")


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "without its alias"])
def test_a_champion_that_was_removed_is_not_replaced_by_a_new_first_model(
    founded: House, is_deleted: bool
) -> None:
    """Images of its classes may have been deleted, so a new first model would know fewer
    classes.
    """
    client = MlflowClient(founded.uri, founded.uri)
    founded.deliver("second", 2, 3)
    founded.tick()
    (founded.arrivals / "first.parquet").unlink()
    if is_deleted:
        client.delete_model_version("house-student", "2")
    else:
        client.delete_registered_model_alias("house-student", "champion")
    said = "was deleted; give the alias" if is_deleted else "has lost its alias; give the alias"
    for _ in range(2):
        with pytest.raises(UserInputError, match=f"the champion .* {said}"):
            founded.tick(reactions={"vanished_classes": "warn"})
    assert founded.tick_again_after_rollback() == {"champion": "1"} | (
        {} if is_deleted else {"challenger": "2"}
    )


def test_a_version_that_no_retraining_made_is_no_champion(founded: House) -> None:
    client = MlflowClient(founded.uri, founded.uri)
    source = client.get_model_version_by_alias("house-student", "champion").source
    foreign = client.create_model_version("house-student", str(source))
    client.set_registered_model_alias("house-student", "champion", foreign.version)
    for dry_run in (True, False):
        with pytest.raises(
            UserInputError,
            match="house-student version 2: has the alias 'champion' but no teacher",
        ):
            founded.tick(dry_run)


def test_a_tick_does_not_wait_for_another_retraining(founded: House) -> None:
    retraining = founded.retraining()
    pairs = ModelPairs(open_registry(founded.uri, "house"))
    with held_lease(retraining, pairs):
        outcome = founded.tick()
        assert outcome.outcome == "locked"
        assert "another retraining is running" in outcome.reason
        with pytest.raises(LockedError):
            rollback(retraining, "")
    assert founded.tick().outcome == "nothing_to_do"


def test_the_champion_is_served_without_this_project_and_without_stored_images(
    founded: House,
) -> None:
    client = MlflowClient(founded.uri, founded.uri)
    version = client.get_model_version_by_alias("house-student", "champion")
    assert mlflow.pyfunc.load_model(version.source).predict(
        np.zeros((3, 1, 8, 8), np.uint8)
    ).shape == (3, 2)
    assert not list(Path(str(version.source).removeprefix("file://")).glob("continual*")), (
        "prototypes are images: they are not served"
    )


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (
            lambda house: house.deliver(
                "first", 0, 1, part=slice(30), label=lambda digit: digit + 5
            ),
            "changed_files",
        ),
        (lambda house: (house.arrivals / "first.parquet").unlink(), "vanished_classes"),
        (lambda house: house.deliver("again", 0, label=lambda digit: "zero"), "renamed_labels"),
    ],
    ids=["a file has changed", "a class is gone", "a label is renamed"],
)
def test_data_that_must_not_be_learned_are_refused(
    founded: House, spoil: Callable[[House], object], finding: str
) -> None:
    spoil(founded)
    founded.deliver("second", 2, 3)
    outcome = founded.tick()
    assert outcome.outcome == "rejected"
    assert outcome.reason.startswith("refused: ")
    assert finding in [found.kind.value for found in outcome.findings if found.reaction == "refuse"]
    page = text_of((founded.folder / "out" / "report.html").read_text())
    assert "rejected the new files" in page
    assert founded.aliases() == {"champion": "1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not parquet", "is not a readable Parquet file"),
        (pa.table({"picture": [b""], "label": [1]}), "has no column 'image'"),
        (pa.table({"image": [b""], "label": [1.5]}), "is of type double"),
    ],
    ids=["no Parquet", "schema changed", "labels of another type"],
)
def test_an_unusable_file_is_one_clear_error(
    founded: House, content: "bytes | pa.Table", said: str
) -> None:
    file = founded.arrivals / "broken.parquet"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        pq.write_table(content, file)
    with pytest.raises(UserInputError, match=said) as error:
        founded.tick()
    assert str(file) in str(error.value)
    assert not (founded.folder / "out" / "summary.json").exists()
    assert founded.aliases() == {"champion": "1"}


def test_a_missing_source_folder_is_a_user_error_and_the_history_records_it(
    founded: House,
) -> None:
    with pytest.raises(UserInputError, match="no such folder"):
        founded.tick(source={"path": str(founded.folder / "nowhere")})
    [said] = needs(read_history(open_registry(founded.uri, "house")))
    assert said.startswith("The last tick failed")
    assert "no such folder" in said


def test_an_unreachable_registry_is_a_retryable_error(house: House) -> None:
    house.experiment["tracking"]["uri"] = "http://127.0.0.1:9"
    with pytest.raises(TrackingUnavailableError):
        house.tick()


def test_a_full_disk_when_the_summary_is_written_is_a_retryable_error(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: str) -> None:
        if path == house.folder / "out" / "summary.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_whole(path, content)

    monkeypatch.setattr(outputs, "write_whole", full)
    with pytest.raises(StorageUnavailableError, match="the summary cannot be written"):
        house.tick()


def test_a_damaged_champion_is_restored_from_the_store_or_reported_if_missing_there_too(
    founded: House,
) -> None:
    source = (
        MlflowClient(founded.uri, founded.uri)
        .get_model_version_by_alias("house-teacher", "champion")
        .source
    )
    for tensors in Path(str(source).removeprefix("file://")).glob(
        "continual/stages/*/*.safetensors"
    ):
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    founded.deliver("second", 2, 3)
    assert founded.tick(dry_run=True).outcome == "promoted"
    for stage in (founded.folder / "store").glob("[0-9a-f]*"):
        shutil.rmtree(stage)
    with pytest.raises(UserInputError, match="the champion cannot be loaded"):
        founded.tick()
    assert founded.aliases() == {"champion": "1"}


# --- webhook and exit code ------------------------------------------------------------------------


class Listener:
    """An address that accepts POSTs."""

    def __init__(self, status: int) -> None:
        heard: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.heard = heard
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(params=[200, 500])
def webhook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listener = Listener(request.param)
    monkeypatch.setenv(
        "ORCHESTRATOR_WEBHOOK_URL", f"http://127.0.0.1:{listener.server.server_port}/secret-path"
    )
    monkeypatch.setattr("orchestrator.retraining.webhook._PAUSE_SECONDS", 0.0)
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def test_a_dry_run_creates_no_database(house: House) -> None:
    database = house.folder / "mlflow.db"
    database.unlink()
    assert house.tick(dry_run=True).outcome == "nothing_to_do"
    assert not database.exists()


def test_a_dry_run_keeps_the_summary_of_the_last_tick(house: House) -> None:
    summary = house.folder / "out" / "summary.json"
    house.tick(dry_run=True)
    assert not summary.exists()
    house.tick()
    before = summary.read_bytes()
    house.tick(dry_run=True)
    assert summary.read_bytes() == before


def test_a_webhook_is_notified_and_its_failure_changes_nothing(
    house: House, webhook: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    assert house.tick().outcome == "nothing_to_do"
    assert webhook.heard[0]["outcome"] == "nothing_to_do"
    with pytest.raises(UserInputError):
        house.tick(source={"path": "/nowhere"})
    assert webhook.heard[-1]["outcome"] == "failed"
    assert "secret-path" not in caplog.text
    num_heard = len(webhook.heard)
    house.tick(dry_run=True)
    assert len(webhook.heard) == num_heard, "a dry run is nobody else's business"


def test_a_webhook_answer_that_is_no_http_changes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestrator.retraining.webhook._PAUSE_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv(
            "ORCHESTRATOR_WEBHOOK_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/\n"
        )

        def answer() -> None:
            for _ in range(3):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"+OK ready\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert house.tick().outcome == "nothing_to_do"
        thread.join(PATIENCE_SECONDS)
    assert "failed (BadStatusLine, 3 attempts)" in caplog.text


# --- the command, and a real server ---------------------------------------------------------------


def _words(house: House, command: str, *more: str) -> Sequence[str]:
    file = house.folder / "retraining.yaml"
    file.write_text(yaml.safe_dump(json.loads(house.retraining().model_dump_json())))
    return [command, str(file), *more]


def test_the_commands_exit_code_follows_the_outcome(
    house: House, orchestrator_command: Callable[..., Any]
) -> None:
    house.deliver("first", 0, 1)
    output = ["--output", str(house.folder / "out")]
    answer = orchestrator_command(*_words(house, "retrain", *output))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1].startswith("promoted: all ")
    history = str(house.folder / "history.html")
    answer = orchestrator_command(*_words(house, "report", "--output", history))
    assert (answer.returncode, answer.stdout.strip()) == (0, history), answer.stderr
    assert "has been the champion since" in text_of(Path(history).read_text())
    wrong = orchestrator_command(*_words(house, "retrain", "--scheduled-at", "yesterday"))
    assert (wrong.returncode, "is not a time" in wrong.stderr) == (2, True)
    back = orchestrator_command(*_words(house, "rollback"))
    assert (back.returncode, "nothing to roll back to" in back.stderr) == (2, True)


def test_an_mlflow_server_serves_as_the_registry(
    tmp_path: Path, tiny_experiment: Experiment, new_database: Callable[[Path], str]
) -> None:
    with mlflow_server(new_database(tmp_path), tmp_path) as server:
        house = House(tmp_path, tiny_experiment, server.uri)
        house.deliver("first", 0, 1)
        assert house.tick().outcome == "promoted"
        house.deliver("second", 2, 3)
        shutil.rmtree(tmp_path / "store")
        assert house.tick().outcome == "promoted"
        assert house.stages() == {"teacher[1]": False, "student[1]": False}
        assert house.aliases() == {"champion": "2", "previous": "1"}
        page = (tmp_path / "out" / "report.html").read_text()
        assert f'href="{server.uri}/#/models/house-student/versions/2"' in page
        server.kill()
        house.deliver("third", 4)
        with pytest.raises(TrackingUnavailableError):
            house.tick()
        server.start()
        assert house.tick().outcome == "promoted"
