"""One code path for every stage: found in the store, or trained, evaluated and stored; never
trained twice.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from orchestrator.config import Experiment
from orchestrator.data.image_table import write_image_table
from orchestrator.data.scenario import Split
from orchestrator.data.scenario_building import build_scenario
from orchestrator.errors import StorageUnavailableError
from orchestrator.methods.method import Model
from orchestrator.stages import (
    NO_CLAIMS,
    Claims,
    Stage,
    StageRunner,
    Work,
    prepare_work,
    runner,
    stage_graph,
)
from orchestrator.stages.evaluation import Evaluation, evaluate
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageEvent,
    StageFinished,
    StageListener,
    StageStarted,
)
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.store import StageStore

CPU = torch.device("cpu")
TEACHER, STUDENT, NEXT_TEACHER, NEXT_STUDENT = range(4)


def small(experiment: Experiment) -> Experiment:
    """Return the experiment with small networks, few images, and two epochs in every phase."""
    values = experiment.model_dump(mode="json")
    values["data"]["validation_fraction"] = 0.8
    values["teacher"] |= {"backbone": {"kind": "small_cnn_tiny"}}
    for role, phase in (
        ("teacher", "training"),
        ("teacher", "refinement"),
        ("student", "training"),
    ):
        values[role][phase] |= {"epochs": 2, "batch_size": 16}
    return Experiment.model_validate(values)


@pytest.fixture(scope="module")
def finished(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Return the stages of two tasks after uninterrupted training; tests that change the store take
    a copy.
    """
    work = prepare_work(small(tiny_experiment))
    work = replace(work, store=StageStore(str(tmp_path_factory.mktemp("finished"))))
    obtain(work, *range(4))
    return work


@pytest.fixture
def copied(finished: Work, tmp_path: Path) -> Work:
    shutil.copytree(finished.store.root, tmp_path / "store")
    return replace(finished, store=StageStore(str(tmp_path / "store")))


@pytest.fixture
def empty(finished: Work, tmp_path: Path) -> Work:
    return replace(finished, store=StageStore(str(tmp_path / "store")))


@pytest.fixture
def no_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is trained."""

    def learns(*_: object) -> Model:
        msg = "a stage was learned again"
        raise AssertionError(msg)

    monkeypatch.setattr(runner, "compute_stage", learns)


def obtain(
    work: Work,
    *indices: int,
    listener: StageListener = lambda _: None,
    claims: Claims = NO_CLAIMS,
) -> list[StageEvent]:
    events: list[StageEvent] = []

    def received(event: StageEvent) -> None:
        events.append(event)
        listener(event)

    stages = StageRunner(work, CPU, received, claims=claims)
    for index in indices:
        stages.obtain(work.stages[index])
    return events


def obtain_until(work: Work, index: int, phase: str, epoch: int) -> None:
    """Compute a stage until the end of one epoch, where the process is interrupted."""

    def interrupt(event: StageEvent) -> None:
        if isinstance(event, EpochFinished) and (event.report.phase, event.report.epoch) == (
            phase,
            epoch,
        ):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(work, index, listener=interrupt)


def tensors_of(work: Work, index: int) -> dict[str, Tensor]:
    return work.artifact_of(work.stages[index]).tensors


def assert_same_model(work: Work, expected: Work, index: int) -> None:
    found, tensors = tensors_of(work, index), tensors_of(expected, index)
    assert found.keys() == tensors.keys()
    assert [name for name, tensor in tensors.items() if not torch.equal(found[name], tensor)] == []


def assert_same_evaluation(one: Evaluation, other: Evaluation) -> None:
    assert (one.rows, one.sample_accuracy, one.num_parameters, one.details) == (
        other.rows,
        other.sample_accuracy,
        other.num_parameters,
        other.details,
    )
    assert torch.equal(one.predictions, other.predictions)


def summary(events: list[StageEvent]) -> list[str]:
    def text(event: StageEvent) -> str:
        match event:
            case StageStarted():
                return f"{event.stage} started"
            case FeaturesComputed():
                return f"{event.stage} features {event.num_done}/{event.num_images}"
            case EpochFinished():
                return f"{event.stage} {event.report.phase} {event.report.epoch}"
            case StageFinished():
                return f"{event.stage} {'cached' if event.cached else 'learned'}"

    return [text(event) for event in events]


def flip_last_bit(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def damage(work: Work, key: str) -> None:
    flip_last_bit(next(Path(work.store.path(key)).glob("*.safetensors")))


# --- found in the store ---------------------------------------------------------------------------


@pytest.mark.usefixtures("no_learning")
def test_a_stored_stage_is_not_trained_again_and_its_epochs_are_reported_again(
    finished: Work,
) -> None:
    assert summary(obtain(finished, TEACHER, STUDENT)) == [
        "teacher[0] started",
        *(
            "teacher[0] extractor 1",
            "teacher[0] extractor 2",
            "teacher[0] embedding 1",
            "teacher[0] embedding 2",
        ),
        "teacher[0] cached",
        "student[0] started",
        *("student[0] student 1", "student[0] student 2"),
        "student[0] cached",
    ]


def test_a_cached_stage_reports_the_same_as_its_training(empty: Work) -> None:
    learned, cached = (obtain(empty, TEACHER) for _ in range(2))
    assert learned[:-1] == cached[:-1]
    assert [
        event.cached for event in (learned[-1], cached[-1]) if isinstance(event, StageFinished)
    ] == [False, True]


def test_a_finished_stage_has_no_progress_and_records_its_cost(finished: Work) -> None:
    for stage in finished.stages[:4]:
        assert finished.is_stored(stage)
        assert not finished.store.has_progress(stage.key)
        values = finished.store.values_of(stage.key)
        assert values is not None
        assert values["stage"] == stage.name
        assert values["num_train_workers"] == 1
        assert values["seconds"] > 0


@pytest.mark.parametrize("index", [TEACHER, STUDENT, NEXT_TEACHER, NEXT_STUDENT])
def test_a_damaged_artifact_is_trained_again_to_the_same_weights(
    finished: Work, copied: Work, index: int
) -> None:
    damage(copied, copied.stages[index].key)
    events = obtain(copied, index)
    assert isinstance(events[-1], StageFinished)
    assert not events[-1].cached
    assert_same_model(copied, finished, index)


def test_a_missing_upstream_stage_is_an_error_with_the_next_step(copied: Work) -> None:
    shutil.rmtree(copied.store.path(copied.stages[NEXT_TEACHER].key))
    shutil.rmtree(copied.store.path(copied.stages[TEACHER].key))
    with pytest.raises(
        StorageUnavailableError,
        match=r"teacher\[0\] is missing or corrupt.*rerun the same command",
    ):
        obtain(copied, NEXT_TEACHER)


# --- resuming after an interruption ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "phase", "epoch"),
    [
        (TEACHER, "extractor", 1),
        (TEACHER, "extractor", 2),
        (TEACHER, "embedding", 1),
        (TEACHER, "embedding", 2),
        (STUDENT, "student", 1),
        (STUDENT, "student", 2),
        (NEXT_TEACHER, "embedding", 1),
        (NEXT_STUDENT, "student", 1),
    ],
)
def test_an_interrupted_stage_resumes_and_ends_with_the_same_weights(
    finished: Work, copied: Work, index: int, phase: str, epoch: int
) -> None:
    stage = copied.stages[index]
    shutil.rmtree(copied.store.path(stage.key))
    obtain_until(copied, index, phase, epoch)
    assert copied.store.load(stage.key) is None
    assert copied.store.has_progress(stage.key)
    progress = copied.store.load_progress(stage.key, phase)
    assert progress is not None
    assert len(progress.values["reports"]) == epoch
    events = obtain(copied, index)
    assert_same_model(copied, finished, index)
    assert not copied.store.has_progress(stage.key)
    assert summary(events) == [
        text.replace("cached", "learned") for text in summary(obtain(finished, index))
    ]


def test_a_stage_resumes_from_its_progress_instead_of_starting_over(copied: Work) -> None:
    """The test shifts the weights of the progress; the shift shows in the result."""
    stage = copied.stages[STUDENT]
    before = tensors_of(copied, STUDENT)
    shutil.rmtree(copied.store.path(stage.key))
    obtain_until(copied, STUDENT, "student", 1)
    progress = copied.store.load_progress(stage.key, "student")
    assert progress is not None
    shifted = {
        name: tensor + 1 if name.startswith("modules.") else tensor
        for name, tensor in progress.tensors.items()
    }
    copied.store.save_progress(stage.key, "student", replace(progress, tensors=shifted))
    obtain(copied, STUDENT)
    assert not torch.equal(
        tensors_of(copied, STUDENT)["network.embedding.weight"], before["network.embedding.weight"]
    )


def test_damaged_progress_is_ignored_and_the_weights_are_the_same(
    finished: Work, copied: Work
) -> None:
    stage = copied.stages[STUDENT]
    shutil.rmtree(copied.store.path(stage.key))
    obtain_until(copied, STUDENT, "student", 1)
    flip_last_bit(next(Path(copied.store.path("progress", stage.key)).rglob("*.safetensors")))
    obtain(copied, STUDENT)
    assert_same_model(copied, finished, STUDENT)


# --- evaluations ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_learning")
def test_a_stored_evaluation_is_not_computed_again(
    finished: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judges(*_: object) -> Evaluation:
        msg = "a model was judged again"
        raise AssertionError(msg)

    monkeypatch.setattr(runner, "evaluate", judges)
    obtain(finished, *range(4))


@pytest.mark.usefixtures("no_learning")
@pytest.mark.parametrize("how", ["gone", "damaged"])
@pytest.mark.parametrize("index", range(4))
def test_a_lost_evaluation_is_computed_again_from_the_stored_model(
    finished: Work, copied: Work, index: int, how: str
) -> None:
    stage = copied.stages[index]
    key = evaluation_key(stage, copied.scenario)
    if how == "gone":
        shutil.rmtree(copied.store.path(key))
    else:
        damage(copied, key)
    with pytest.raises(StorageUnavailableError, match="evaluation"):
        copied.evaluation_of(stage)
    obtain(copied, index)
    assert_same_evaluation(copied.evaluation_of(stage), finished.evaluation_of(stage))


@pytest.mark.usefixtures("no_learning")
def test_changed_test_images_are_evaluated_without_training(copied: Work, tmp_path: Path) -> None:
    before = {stage.name: copied.evaluation_of(stage) for stage in copied.stages[:4]}
    other = with_inverted_images(copied, Split.TEST, 2, tmp_path)
    assert [stage.key for stage in other.stages] == [stage.key for stage in copied.stages]
    # class 2 arrives in task 1: earlier evaluations stay valid
    assert [other.is_stored(stage) for stage in other.stages[:4]] == [True, True, False, False]
    events = obtain(other, *range(4))
    assert [event.cached for event in events if isinstance(event, StageFinished)] == [True] * 4
    assert all(other.is_stored(stage) for stage in other.stages[:4])
    for stage in other.stages[:2]:
        assert_same_evaluation(other.evaluation_of(stage), before[stage.name])
    for stage in other.stages[2:4]:
        model = other.model_from(other.artifact_of(stage), stage, CPU)
        assert_same_evaluation(other.evaluation_of(stage), evaluate(model, stage, other.scenario))
        assert_same_evaluation(copied.evaluation_of(stage), before[stage.name])


def with_inverted_images(work: Work, split: Split, c: int, folder: Path) -> Work:
    """Return the same work on a table in which one class's images of one split are inverted."""
    table, experiment = work.scenario.table, work.experiment
    images = table.images.copy()
    rows = work.scenario.indices[split][c]
    images[rows] = 255 - images[rows]
    changed = write_image_table(
        folder / "changed.arrow", table.name, images, list(table.labels), table.is_test
    )
    scenario = build_scenario(
        changed, experiment.scenario, experiment.data.validation_fraction, experiment.seed
    )
    return replace(work, scenario=scenario, stages=stage_graph(experiment, scenario))


# --- claims ---------------------------------------------------------------------------------------


class Contested:
    """Claims that others hold at first while `others` runs; records held and released keys."""

    def __init__(self, others: Callable[[], object] = lambda: None) -> None:
        self._others = others
        self._is_free = False
        self.held: list[str] = []
        self.released: list[str] = []

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        if not self._is_free:
            self._others()
            self._is_free = True
            return False
        self.held.append(key)
        return True

    def release(self, key: str, token: str) -> None:
        self.released.append(key)


@pytest.fixture
def let_hours_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that advances the clock by three hours."""
    real, offset = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: real() + offset[0])

    def forward() -> None:
        offset[0] += 3 * 3600

    return forward


@pytest.mark.parametrize("index", [TEACHER, NEXT_STUDENT])
def test_a_stage_computed_by_another_process_meanwhile_is_not_computed_again(
    finished: Work, empty: Work, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    def others() -> None:
        shutil.copytree(finished.store.root, empty.store.root)
        for name in ("compute_stage", "evaluate"):
            monkeypatch.setattr(runner, name, lambda *_: pytest.fail("computed again"))

    claims = Contested(others)
    assert summary(obtain(empty, index, claims=claims)) == summary(obtain(finished, index))
    assert claims.held == claims.released == [empty.stages[index].key]


def test_the_claim_is_held_until_the_stage_and_its_evaluation_are_stored(empty: Work) -> None:
    stage = empty.stages[TEACHER]

    class Looks(Contested):
        def release(self, key: str, token: str) -> None:
            assert empty.is_stored(stage)
            super().release(key, token)

    claims = Looks()
    assert summary(obtain(empty, TEACHER, claims=claims))[-1] == "teacher[0] learned"
    assert claims.held == claims.released == [stage.key]


def test_waiting_for_a_claim_does_not_count_as_work(
    empty: Work, finished: Work, let_hours_pass: Callable[[], None]
) -> None:
    learned = obtain(empty, TEACHER, claims=Contested(let_hours_pass))[-1]
    assert isinstance(learned, StageFinished)
    assert 0 < learned.seconds < 3600
    assert 0 < empty.artifact_of(empty.stages[TEACHER]).values["seconds"] <= learned.seconds

    def others() -> None:
        let_hours_pass()
        shutil.copytree(finished.store.root, empty.store.root, dirs_exist_ok=True)

    found = obtain(empty, STUDENT, claims=Contested(others))[-1]
    assert isinstance(found, StageFinished)
    assert found.cached
    assert 0 < found.seconds < 3600


def test_stored_stages_are_not_claimed(finished: Work) -> None:
    claims = Contested(lambda: pytest.fail("claimed"))
    obtain(finished, *range(4), claims=claims)
    assert claims.held == claims.released == []


@pytest.mark.usefixtures("no_learning")
def test_a_missing_evaluation_is_computed_under_the_claim_of_its_stage(copied: Work) -> None:
    stage = copied.stages[STUDENT]
    shutil.rmtree(copied.store.path(evaluation_key(stage, copied.scenario)))
    claims = Contested()
    assert summary(obtain(copied, STUDENT, claims=claims))[-1] == "student[0] cached"
    assert claims.held == claims.released == [stage.key]
    assert copied.is_stored(stage)


def test_a_claim_does_not_outlive_an_interrupted_stage(empty: Work) -> None:
    claims = Contested()

    def interrupt(event: StageEvent) -> None:
        if isinstance(event, EpochFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(empty, TEACHER, listener=interrupt, claims=claims)
    assert claims.held == claims.released == [empty.stages[TEACHER].key]


# --- keys of a real experiment --------------------------------------------------------------------


def different(work: Work, other: Work) -> set[str]:
    def keys(stages: Work) -> dict[str, str]:
        return {stage.name: stage.key for stage in stages.stages}

    return {name for name, key in keys(work).items() if keys(other)[name] != key}


@pytest.mark.parametrize(
    "transfer", [{"kind": "fixed"}, {"similarity": "cosine"}, {"similarity_thresholds": [0.8, 0.9]}]
)
def test_another_transfer_ratio_trains_no_teacher_again(
    copied: Work, transfer: dict[str, object]
) -> None:
    values = copied.experiment.model_dump(mode="json")
    experiment = Experiment.model_validate(
        {**values, "student": {**values["student"], "transfer": transfer}}
    )
    other = replace(copied, experiment=experiment, stages=stage_graph(experiment, copied.scenario))
    assert different(copied, other) == {"student[0]", "student[1]", "student[2]"}
    assert [
        event.cached
        for event in obtain(other, TEACHER, STUDENT)
        if isinstance(event, StageFinished)
    ] == [True, False]


@pytest.mark.parametrize("split", [Split.TRAIN, Split.TEST])
def test_images_of_a_later_task_change_no_earlier_stage(
    finished: Work, tmp_path: Path, split: Split
) -> None:
    # class 4 arrives in task 2
    other = with_inverted_images(finished, split, 4, tmp_path)
    assert different(finished, other) == (
        {"teacher[2]", "student[2]"} if split == Split.TRAIN else set()
    )

    def evaluations(work: Work) -> list[str]:
        return [evaluation_key(stage, work.scenario) for stage in work.stages]

    assert evaluations(other)[:4] == evaluations(finished)[:4]
    assert not set(evaluations(other)[4:]) & set(evaluations(finished)[4:])


def test_stages_know_their_upstream_by_key(finished: Work) -> None:
    stages: dict[str, Stage] = {stage.name: stage for stage in finished.stages}
    assert stages["teacher[0]"].upstream == ()
    assert stages["student[0]"].upstream == (stages["teacher[0]"].key,)
    assert set(stages["student[1]"].upstream) == {
        stages["student[0]"].key,
        stages["teacher[1]"].key,
    }
