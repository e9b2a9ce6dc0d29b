"""Keep finished replays in the output folder of a backtest. A replay executes a retraining once for
each past arrival of files.

The key of a replay depends on everything that influences its result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator.config import Retraining, flatten_tree
from orchestrator.config.places import is_place
from orchestrator.errors import StorageUnavailableError
from orchestrator.pipelines.run.outputs import write_json
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.replays import PlannedReplay, Replay

_FORMAT = 1
"""Version number in the key of every stored replay. Increase the number when a change of the code
changes the results of replays.
"""

_NO_INFLUENCE = (
    "source.path",
    "source.settled_seconds",
    "source.marker",
    "lease.",
    "webhook.",
    "monitoring.",
    "max_tick_age_seconds",
)


class KeptReplays:
    """Store of the finished replays of a backtest. A replay executes a retraining once for each
    past arrival of files.
    """

    def __init__(self, folder: Path) -> None:
        """Create the store without reading anything.

        Args:
            folder: The folder of the replays.
        """
        self._folder = folder

    def find(self, planned: PlannedReplay, key: str) -> Replay | None:
        """Return the finished replay that is stored under a key; None if there is none, or if this
        version of the program cannot read the stored replay.
        """
        try:
            text = (self._folder / f"{key}.json").read_text(encoding="utf-8")
            return Replay(planned, Replay.from_json(json.loads(text)).ticks)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, replay: Replay, key: str) -> None:
        """Store a finished replay under a key, atomically. A replay is the result of executing a
        retraining on past files.

        Raises:
            StorageUnavailableError: The replay cannot be written.
        """
        path = self._folder / f"{key}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(path, replay.as_json())
        except OSError as error:
            raise StorageUnavailableError(
                f"cannot be written ({error.strerror or error})",
                where=str(path),
                next_step="free some space, or choose another --output",
            ) from None


def replay_key(planned: PlannedReplay, arrivals: Sequence[Arrival], retraining: Retraining) -> str:
    """Return the key of a replay. Keys are equal on every machine if files, order, wrong labels and
    configuration are equal.
    """
    ordered = [arrivals[index] for index in planned.order]
    content = [
        _FORMAT,
        planned.share,
        planned.target,
        planned.order,
        [[asdict(file) for file in arrival.files] for arrival in ordered],
        {
            path: value
            for path, value in flatten_tree(retraining.model_dump(mode="json")).items()
            if not path.startswith(_NO_INFLUENCE) and not is_place(path.removeprefix("experiment."))
        },
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
