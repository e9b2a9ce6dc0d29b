"""Replay past arrivals through real ticks, in a source, registry and journal of their own."""

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
    """A folder with the registry, journal and source of one replay after the other.

    MLflow keeps a database open for the life of a process, and takes seconds to create one: so all
    replays use one file, whose content is replaced.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Create an empty registry.

        Args:
            folder: Empty; for this process alone.
            name: Of the models.

        Raises:
            TransientError: It cannot be created.
        """
        self._folder = folder
        open_registry(f"sqlite:///{folder / _EMPTY_DATABASE}", name).versions("student")

    @property
    def arrivals(self) -> Path:
        """The source of the replay."""
        return self._folder / "replay" / "source"

    @property
    def output(self) -> Path:
        """Return the folder to which the ticks write."""
        return self._folder / "replay" / "tick"

    @property
    def lineages(self) -> Path:
        """Files that are read from the registry."""
        return self._folder / "replay" / "lineages"

    def reset(self) -> None:
        """Forget everything of the replay before."""
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
        """Return the retraining with every place but its stage store here, without webhook and
        monitoring.

        The stage store is shared: its entries are keyed by the content of the images and their
        labels, so that no tick of the retraining itself can meet another stage than its own.
        """
        values = retraining.model_dump(mode="json")
        replay = self._folder / "replay"
        changes: dict[str, dict[str, Any]] = {
            "source": {"path": str(self.arrivals), "settled_seconds": 0.0, "marker": None},
            "lease": {"uri": str(replay / "journal")},
            "webhook": {"url_variable": ""},  # no variable has this name
            # in a replay every arrival is long past, and images without labels do not arrive
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
    """Receive what happens in a replay.

    Attributes:
        started: Called with the position of a tick and its arrival.
        finished: Called with the position of a tick and what it did.
        learning: Receives the events of learning; None for silence.
    """

    started: Callable[[int, Arrival], None]
    finished: Callable[[int, ReplayedTick], None]
    learning: RunListener | None = None


class Replayer:
    """Replays one planned replay after the other."""

    def __init__(self, deliveries: Deliveries, places: ScratchPlaces, seed: int) -> None:
        """Do nothing yet.

        Args:
            deliveries: The arrivals.
            places: Where the replays happen.
            seed: Of the wrong labels.
        """
        self._deliveries = deliveries
        self._places = places
        self._seed = seed

    def replay(self, planned: PlannedReplay, retraining: Retraining, events: TickEvents) -> Replay:
        """Run one tick for every arrival.

        Args:
            planned: The order, and where wrong labels are injected.
            retraining: With the gate to be tried. Of its own places, only the stage store is used.
            events: Receives every tick.

        Raises:
            UserInputError: Configuration or data cannot be used.
            TransientError: The stage store or a scratch place cannot be used.
            InterruptedRunError: It was interrupted.
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
        """Deliver one arrival; return how many of its labels are wrong."""
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
    """Notices the champion that has learned from wrong labels."""

    def __init__(self, retraining: Retraining, places: ScratchPlaces) -> None:
        self.retraining = retraining
        self.wrong_files: frozenset[str] = frozenset()
        self._places = places
        self._last: ModelPair | None = None
        self._is_wrong = False

    def turns_wrong(self, champion: ModelPair | None) -> bool:
        """Return whether this champion, and none before it, has learned from a wrong file."""
        is_known, self._last = champion == self._last, champion
        if champion is None or is_known or self._is_wrong or not self.wrong_files:
            return False
        registry = open_registry(self.retraining.experiment.tracking.uri, self.retraining.name)
        lineage = load_lineage(registry, champion, self._places.lineages)
        self._is_wrong = any(file.sha256 in self.wrong_files for file in lineage.files)
        return self._is_wrong
