"""Replay past arrivals of files: execute a retraining once (a *tick*) for each arrival.

These ticks run the same code as scheduled ticks, but with a source, a registry and a journal that
only the replay uses.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config import Retraining
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.pipelines.run.listener import RunListener
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.deliveries import Deliveries
from orchestrator.retraining.backtest.replays import PlannedReplay, Replay, ReplayedTick
from orchestrator.retraining.backtest.wrong_labels import new_classes
from orchestrator.retraining.registration import load_lineage
from orchestrator.retraining.state import ModelPair
from orchestrator.tracking.reading import open_registry

_DATABASE, _EMPTY_DATABASE = "mlflow.db", "empty.db"


class ScratchPlaces:
    """Temporary folder for the current replay of a backtest. The folder contains the replay's own
    registry, journal and source.

    MLflow keeps a database open until the process ends, and takes seconds to create a database. So
    all replays use the same database file, and each replay starts by overwriting it with an empty
    database.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Create an empty registry.

        Args:
            folder: An empty folder, for this process alone.
            name: Name of the models.

        Raises:
            TransientError: The registry cannot be created.
        """
        self._folder = folder
        open_registry(f"sqlite:///{folder / _EMPTY_DATABASE}", name).versions("student")

    @property
    def arrivals(self) -> Path:
        """Return the folder that receives the files of each arrival. The folder is the source of
        the replayed retraining.
        """
        return self._folder / "replay" / "source"

    @property
    def output(self) -> Path:
        """Return the output folder of the ticks that a replay runs."""
        return self._folder / "replay" / "tick"

    @property
    def lineages(self) -> Path:
        """Return the folder for lineage files, which list the files and classes that a version has
        learned.
        """
        return self._folder / "replay" / "lineages"

    def reset(self) -> None:
        """Remove all files and registered models of the previous replay."""
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        self.arrivals.mkdir(parents=True)
        with (
            closing(sqlite3.connect(self._folder / _EMPTY_DATABASE)) as empty,
            closing(sqlite3.connect(self._folder / _DATABASE)) as database,
        ):
            empty.backup(database)

    def moved(self, retraining: Retraining) -> Retraining:
        """Return the configuration of the retraining for a replay. Webhook and monitoring are off,
        and all folders and addresses except the stage store are moved into the temporary folder.

        Sharing the stage store is safe. Stage keys depend on the content of the images and on their
        labels, so a real tick never reuses a stage that was trained on other data.
        """
        values = retraining.model_dump(mode="json")
        replay = self._folder / "replay"
        changes: dict[str, dict[str, Any]] = {
            "source": {"path": str(self.arrivals), "settled_seconds": 0.0, "marker": None},
            "lease": {"uri": str(replay / "journal")},
            # no environment variable has an empty name, so no URL is found and the webhook is off
            "webhook": {"url_variable": ""},
            # monitoring is off, because all arrivals of a replay are long past and contain no
            # unlabelled images
            "monitoring": {"looks_at_images": False, "silence_factor": None},
        }
        for section, fields in changes.items():
            values[section] |= fields
        values["max_tick_age_seconds"] = None
        experiment = values["experiment"]
        experiment["tracking"] |= {
            "uri": f"sqlite:///{self._folder / _DATABASE}",
            "spool": str(replay / "spool"),
        }
        experiment["data"]["cache_dir"] = str(replay / "decoded")
        return Retraining.model_validate(values)


@dataclass(frozen=True)
class TickEvents:
    """Functions that receive the events of a replay, which executes a retraining once (a tick) for
    each arrival of files.

    Attributes:
        started: Called with the position of a tick, from 0, and the arrival of the tick.
        finished: Called with the position of a tick, from 0, and the result of the tick.
        learning: Listener that receives the events of training; None if no listener is needed.
    """

    started: Callable[[int, Arrival], None]
    finished: Callable[[int, ReplayedTick], None]
    learning: RunListener | None = None


class Replayer:
    """Runner of a backtest's replays, one after the other. A replay executes a retraining once (a
    tick) for each arrival of files.
    """

    def __init__(self, deliveries: Deliveries, places: ScratchPlaces, seed: int) -> None:
        """Create the runner without running anything.

        Args:
            deliveries: The past arrivals of files, with methods that deliver an arrival to a
                folder.
            places: The temporary folders of the current replay.
            seed: Seed of the wrong labels.
        """
        self._deliveries = deliveries
        self._places = places
        self._seed = seed

    def replay(self, planned: PlannedReplay, retraining: Retraining, events: TickEvents) -> Replay:
        """Run a replay: execute the retraining once (a tick) for every past arrival of files.

        Args:
            planned: Plan of the replay: the order of the arrivals, and the arrival with wrong
                labels.
            retraining: The retraining whose gate is tested. The replay uses the retraining's stage
                store, and temporary folders instead of its other folders and addresses.
            events: Receives the start and the end of every tick.

        Raises:
            UserInputError: Configuration or data cannot be used.
            TransientError: The stage store or a temporary folder cannot be used.
            InterruptedRunError: The replay was interrupted.
        """
        self._places.reset()
        champions = _Champions(self._places.moved(retraining), self._places)
        ticks: list[ReplayedTick] = []
        for position, index in enumerate(planned.order):
            arrival = self._deliveries.arrivals[index]
            events.started(position, arrival)
            started = time.monotonic()
            num_wrong = self._deliver(planned, position, champions)
            outcome = retrain(champions.retraining, self._places.output, listener=events.learning)
            num_images, summary = self._deliveries.num_images(arrival), outcome.summary()
            tick = ReplayedTick(
                arrival=arrival.name,
                date=arrival.date.isoformat(timespec="seconds"),
                classes=tuple(num_images),
                num_images=sum(num_images.values()),
                num_wrong=num_wrong,
                outcome=outcome.outcome,
                reason=outcome.reason,
                findings=summary["findings"],
                gate=summary["gate"],
                learned_wrong=champions.turns_wrong(outcome.champion),
                seconds=time.monotonic() - started,
            )
            ticks.append(tick)
            events.finished(position, tick)
        return Replay(planned, tuple(ticks))

    def _deliver(self, planned: PlannedReplay, position: int, champions: _Champions) -> int:
        """Deliver one arrival: place its files in the source folder, and return the number of wrong
        labels.

        Args:
            planned: Plan of the replay.
            position: Position of the arrival in the replay, from 0.
            champions: Receives the digests of the files with wrong labels, to find out which
                champion learns from these files.
        """
        arrivals = [self._deliveries.arrivals[index] for index in planned.order]
        if position != planned.target:
            self._deliveries.deliver(arrivals[position], self._places.arrivals)
            return 0
        classes = [set(self._deliveries.num_images(arrival)) for arrival in arrivals]
        num_wrong, champions.wrong_files = self._deliveries.deliver_with_wrong_labels(
            arrivals[position],
            new_classes(classes)[position],
            planned.share,
            f"{self._seed} {planned.order} {planned.share}",
            self._places.arrivals,
        )
        return num_wrong


class _Champions:
    """Detector of the first champion that has learned from wrong labels in a replay."""

    def __init__(self, retraining: Retraining, places: ScratchPlaces) -> None:
        self.retraining = retraining
        self.wrong_files: frozenset[str] = frozenset()
        self._places = places
        self._last: ModelPair | None = None
        self._is_wrong = False

    def turns_wrong(self, champion: ModelPair | None) -> bool:
        """Return whether this champion has learned from wrong labels and no earlier champion
        has.
        """
        is_known, self._last = champion == self._last, champion
        if champion is None or is_known or self._is_wrong or not self.wrong_files:
            return False
        registry = open_registry(self.retraining.experiment.tracking.uri, self.retraining.name)
        lineage = load_lineage(registry, champion, self._places.lineages)
        self._is_wrong = any(file.sha256 in self.wrong_files for file in lineage.files)
        return self._is_wrong
