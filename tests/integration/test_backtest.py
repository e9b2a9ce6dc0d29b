"""A backtest of real ticks on digits: its counts, what it must not change, and how it resumes."""

import hashlib
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from orchestrator.config import Experiment, Retraining
from orchestrator.config.backtest import BacktestConfig
from orchestrator.pipelines.retraining.backtest import backtest
from orchestrator.pipelines.retraining.backtest_listener import (
    BacktestProgress,
    SilentBacktestListener,
)
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.pipelines.run.listener import SilentRunListener
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.retraining.backtest.replays import PlannedReplay, ReplayedTick

STRICT = "gate.max_student_parameters=1"
ANYTHING = {
    "min_new_accuracy": 0,
    "old_accuracy_tolerance": 1,
    "max_forgetting": 1,
    "min_agreement": 0,
}


class World:
    """A retraining with a champion of 0 and 1, and two past arrivals, one of them known."""

    def __init__(self, folder: Path, experiment: Experiment, uri: str) -> None:
        self.folder = folder
        self.past = folder / "past"
        for place, name, day, digits in (
            ("arrivals", "first", 21, (0, 1)),
            ("past", "first", 21, (0, 1)),
            ("past", "second", 22, (2, 3)),
        ):
            deliver(folder / place / f"{name}.parquet", day, digits)
        values = experiment.model_dump(mode="json")
        values["name"] = "world"
        values["store"] = {"uri": str(folder / "store")}
        values["tracking"] |= {"uri": uri, "spool": str(folder / "spool"), "experiment": None}
        self.values: dict[str, Any] = {
            "experiment": values,
            "source": {
                "path": str(folder / "arrivals"),
                "settled_seconds": 0,
                "image_size": 8,
                "num_channels": 1,
                "min_images_per_class": 5,
            },
            "gate": ANYTHING,
        }

    def retraining(self, **gate: object) -> Retraining:
        return Retraining.model_validate(self.values | {"gate": ANYTHING | gate})

    def backtest(self, listener: SilentBacktestListener) -> dict[str, Any]:
        """Replay both arrivals under two gates, with and without wrong labels."""
        settings = {"": self.retraining(), STRICT: self.retraining(max_student_parameters=1)}
        config = BacktestConfig(folder=str(self.past), wrong_labels=(1.0,))
        return backtest(settings, config, self.folder / "out", listener)

    def content(self) -> dict[str, str]:
        """Return the digest of every file except stages and the backtest's output."""
        store = self.folder / "store"
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file()
            and not path.is_relative_to(self.folder / "out")
            and (not path.is_relative_to(store) or path.is_relative_to(store / "retraining"))
        }


def deliver(file: Path, day: int, digits: tuple[int, ...]) -> None:
    data = load_digits()
    rows = [row for digit in digits for row in np.flatnonzero(data.target == digit)[:30]]
    images = []
    for row in rows:
        stream = io.BytesIO()
        pixels = np.rint(data.images[row] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        images.append(stream.getvalue())
    file.parent.mkdir(exist_ok=True)
    pq.write_table(
        pa.table({"image": images, "label": [int(data.target[row]) for row in rows]}), file
    )
    written = datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()
    os.utime(file, (written, written))


class Recorder(SilentBacktestListener):
    """Listener that records every tick with its stages, and interrupts after some ticks."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.interrupt_after = interrupt_after
        self.ticks: list[tuple[PlannedReplay, ReplayedTick, BacktestProgress]] = []
        self.cached: list[list[bool]] = []
        self.num_finished = 0
        self.learning = Stages(self)

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        assert (num_arrivals, num_replays) == (2, 4)
        self.num_finished = num_finished

    def tick_started(self, *_: object) -> None:
        self.cached.append([])

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        self.ticks.append((planned, tick, progress))
        if len(self.ticks) == self.interrupt_after:
            raise KeyboardInterrupt


class Stages(SilentRunListener):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        self._recorder.cached[-1].append(result.finished.cached)


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
) -> World:
    world = World(folder := tmp_path_factory.mktemp("world"), tiny_experiment, new_database(folder))
    assert retrain(world.retraining(), folder / "tick").outcome == "promoted"
    return world


@pytest.fixture(scope="module")
def webhook() -> Iterator[socket.socket]:
    """Open a port that would receive a POST."""
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        server.settimeout(0.2)
        patch.setenv("ORCHESTRATOR_WEBHOOK_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")
        yield server


@pytest.fixture(scope="module")
def interrupted(world: World, webhook: socket.socket) -> tuple[Recorder, dict[str, str]]:
    """Interrupt a backtest in its second replay; return its record, and the content of the world
    before.
    """
    before, recorder = world.content(), Recorder(interrupt_after=3)
    with pytest.raises(KeyboardInterrupt):
        world.backtest(recorder)
    return recorder, before


@pytest.fixture(scope="module")
def finished(
    world: World, interrupted: tuple[Recorder, dict[str, str]]
) -> tuple[Recorder, dict[str, Any]]:
    """Resume and finish the same backtest."""
    return (recorder := Recorder()), world.backtest(recorder)


def test_false_alarms_and_misses_are_counted_for_every_gate(
    finished: tuple[Recorder, dict[str, Any]],
) -> None:
    _, content = finished

    def counts(rate: Mapping[str, int] | None) -> tuple[int, int] | None:
        return None if rate is None else (rate["count"], rate["total"])

    found = {
        (row["setting"], row["wrong_labels"]): (
            row["outcomes"],
            counts(row["false_alarms"]),
            counts(row["misses"]),
        )
        for row in content["summary"]
    }
    assert found == {
        ("", 0.0): ({"promoted": 2}, (0, 2), None),
        ("", 1.0): ({"promoted": 1}, None, (1, 1)),
        (STRICT, 0.0): ({"rejected": 2}, (2, 2), None),
        (STRICT, 1.0): ({"rejected": 1}, None, (0, 1)),
    }


def test_wrong_labels_are_only_in_the_second_arrival(
    finished: tuple[Recorder, dict[str, Any]],
) -> None:
    _, content = finished
    wrong = {
        (replay["setting"], replay["share"]): [tick["num_wrong"] for tick in replay["ticks"]]
        for replay in content["replays"]
    }
    # half of the 60 labels of two classes: more would only swap the names of the classes
    assert wrong == {
        ("", 0.0): [0, 0],
        ("", 1.0): [0, 30],
        (STRICT, 0.0): [0, 0],
        (STRICT, 1.0): [0, 30],
    }
    assert content["replays"][1]["ticks"][1]["learned_wrong"]


def test_a_backtest_does_not_change_the_retraining(
    world: World,
    webhook: socket.socket,
    interrupted: tuple[Recorder, dict[str, str]],
    finished: tuple[Recorder, dict[str, Any]],
) -> None:
    _, before = interrupted
    after = world.content()
    assert any(name.startswith("store/retraining/") for name in after)
    assert "mlflow.db" in after
    assert after == before
    with pytest.raises(TimeoutError):
        webhook.accept()


def test_an_interrupted_backtest_repeats_no_finished_replay(
    world: World,
    interrupted: tuple[Recorder, dict[str, str]],
    finished: tuple[Recorder, dict[str, Any]],
) -> None:
    recorder, content = finished
    assert recorder.num_finished == 1
    assert [progress.num_done for _, _, progress in recorder.ticks] == [3, 4, 5, 6, 7, 8]
    assert recorder.ticks[-1][2].seconds_left == 0
    again = Recorder()
    assert world.backtest(again) == content
    assert (again.num_finished, again.ticks) == (4, [])
    assert sorted(path.name for path in (world.folder / "out").iterdir()) == [
        ".lock",
        "backtest.html",
        "backtest.json",
        "replays",
    ]
    assert json.loads((world.folder / "out" / "backtest.json").read_text()) == json.loads(
        json.dumps(content)
    )


def test_ticks_with_equal_histories_share_their_stages(
    interrupted: tuple[Recorder, dict[str, str]], finished: tuple[Recorder, dict[str, Any]]
) -> None:
    (first, _), (resumed, _) = interrupted, finished
    # the retraining has already run the first tick; the second learns 2 and 3
    assert first.cached == [[True, True], [False, False], [True, True]]
    # wrong labels are learned once, and under the strict gate 2 and 3 are learned without a
    # champion
    assert resumed.cached == [
        [True, True],
        [False, False],
        [True, True],
        [False, False],
        [True, True],
        [False, False],
    ]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backtest", "empty"], "is empty"),
        (["--backtest", "nonesuch"], "no such folder"),
        (["--backtest", "text"], "holds no Parquet file"),
        (["--backtest", "past", "--group-by", "week"], "holds one arrival (2026-W47)"),
        (["--backtest", "past", "--wrong-labels", "0.2,1.5"], "wrong_labels[1] = '1.5'"),
        (["--backtest", "past", "--wrong-labels", "0"], "wrong_labels[0] = '0'"),
        (["--backtest", "past", "--dry-run"], "--dry-run and --backtest exclude each other"),
        (
            ["--backtest", "past", "--what-if", "gate.nonesuch=1"],
            "gate.nonesuch is not a known key",
        ),
        (["--wrong-labels", "0.2"], "need --backtest FOLDER"),
        (["--orders", "3"], "need --backtest FOLDER"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_error(
    world: World,
    orchestrator_command: Callable[..., "subprocess.CompletedProcess[str]"],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(world.folder)
    (world.folder / "empty").mkdir(exist_ok=True)
    (world.folder / "text").mkdir(exist_ok=True)
    (world.folder / "text" / "notes.txt").touch()
    Path("retraining.yaml").write_text(yaml.safe_dump(world.values))
    answer = orchestrator_command("retrain", "retraining.yaml", *options, "--output", "unused")
    assert answer.returncode == 2
    assert message in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not Path("unused").exists()
