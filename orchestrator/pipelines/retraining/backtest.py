"""Replay past arrivals of files through a retraining. The replays show how the retraining's gate
would have decided at every tick, and how often the gate would have been wrong.

Every replay runs real ticks with a source, a registry and a journal of its own. A killed backtest
can be resumed, because finished replays are kept in the output folder, and trained stages in the
stage store. Ticks that have the same earlier arrivals share stages, so that these stages are
trained only once. The terms are explained in `pipelines.retraining`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import output_files
from orchestrator.config import Retraining
from orchestrator.config.backtest import BacktestConfig
from orchestrator.errors import StorageUnavailableError
from orchestrator.masking import shown
from orchestrator.pipelines.retraining.backtest_listener import (
    BacktestListener,
    BacktestProgress,
    SilentBacktestListener,
)
from orchestrator.pipelines.retraining.kept_replays import KeptReplays, replay_key
from orchestrator.pipelines.retraining.replay import Replayer, ScratchPlaces, TickEvents
from orchestrator.pipelines.run.output_folder import held_folder
from orchestrator.pipelines.run.outputs import write_json
from orchestrator.retraining.backtest.arrivals import Arrival, find_arrivals, orders_of
from orchestrator.retraining.backtest.deliveries import Deliveries
from orchestrator.retraining.backtest.rates import CONFIDENCE, tally
from orchestrator.retraining.backtest.replays import PlannedReplay, Replay, ReplayedTick
from orchestrator.retraining.backtest.wrong_labels import choose_arrival

_DOWNLOADS, _REPLAYS, _SCRATCH = "downloads", "replays", "scratch"


def backtest(
    retrainings: Mapping[str, Retraining],
    config: BacktestConfig,
    output: str | Path | None = None,
    listener: BacktestListener | None = None,
) -> dict[str, Any]:
    """Replay past arrivals of files, and count the errors of the gate. A false alarm is a tick that
    judged files with correct labels and did not promote a candidate. A miss is a replay in which a
    champion learned from wrong labels.

    Args:
        retrainings: Variants of the retraining to replay, by their override (`--what-if`). The key
            "" is the variant without an override. All variants have the same name and seed.
        config: The settings of the backtest.
        output: Folder for backtest.json, backtest.html and finished replays; None means
            `out/backtest/NAME`.
        listener: Receives the events of the backtest; None if no listener is needed.

    Returns:
        The content of backtest.json.

    Raises:
        UserInputError: The folder has fewer than two arrivals, or configuration or data cannot be
            used.
        LockedError: Another process writes to the same output folder.
        TransientError: The arrivals, the stage store or the output folder cannot be used.
        InterruptedRunError: The backtest was interrupted; the same command resumes it.
    """
    listener = listener or SilentBacktestListener()
    retraining = next(iter(retrainings.values()))
    arrivals = find_arrivals(config.folder, config.group_by)
    folder = Path(output) if output is not None else Path("out") / "backtest" / retraining.name
    with held_folder(folder, "a backtest"):
        deliveries = Deliveries(config.folder, arrivals, folder / _DOWNLOADS)
        plan = _plan(deliveries, config, retrainings)
        replays = _replayed(plan, deliveries, retrainings, folder, listener)
        content = _content(config, deliveries, retraining, replays)
        _write(folder, content)
    listener.backtest_finished(content, folder)
    return content


def _plan(
    deliveries: Deliveries, config: BacktestConfig, retrainings: Mapping[str, Retraining]
) -> list[PlannedReplay]:
    """Return the plans of all replays. A replay executes the retraining once (a tick) for each
    arrival of files, in a given order.

    Each replay with correct labels is followed by the same replay with wrong labels, because the
    later replay reuses stages of the earlier replay.

    Raises:
        UserInputError: No arrival can have wrong labels, because no arrival after the first has two
            new classes.
    """
    seed = next(iter(retrainings.values())).experiment.seed
    classes = [set(deliveries.num_images(arrival)) for arrival in deliveries.arrivals]
    where, planned = shown(config.folder), []
    for order in orders_of(len(deliveries.arrivals), config.num_orders, seed):
        for setting in retrainings:
            planned.append(PlannedReplay(setting, order))
            for share in config.wrong_labels:
                target = choose_arrival([classes[index] for index in order], where)
                planned.append(PlannedReplay(setting, order, share, target))
    return planned


def _replayed(
    plan: Sequence[PlannedReplay],
    deliveries: Deliveries,
    retrainings: Mapping[str, Retraining],
    folder: Path,
    listener: BacktestListener,
) -> list[Replay]:
    kept, arrivals = KeptReplays(folder / _REPLAYS), deliveries.arrivals
    retraining = next(iter(retrainings.values()))
    keys = [replay_key(it, arrivals, retrainings[it.setting]) for it in plan]
    num_kept = sum(kept.find(it, key) is not None for it, key in zip(plan, keys, strict=True))
    listener.backtest_started(len(arrivals), len(plan), num_kept)
    pace = _Pace(len(arrivals), len(plan), num_kept)
    replays = []
    with _scratch_folder(folder / _SCRATCH) as scratch:
        replayer: Replayer | None = None
        for number, (planned, key) in enumerate(zip(plan, keys, strict=True), start=1):
            replay = kept.find(planned, key)
            if replay is None:
                replayer = replayer or Replayer(
                    deliveries,
                    ScratchPlaces(scratch, retraining.name),
                    retraining.experiment.seed,
                )
                events = pace.events(number, planned, listener)
                replay = replayer.replay(planned, retrainings[planned.setting], events)
                kept.keep(replay, key)
            replays.append(replay)
    return replays


class _Pace:
    """Counter of finished ticks, which also estimates the remaining time of a backtest."""

    def __init__(self, num_ticks: int, num_replays: int, num_kept: int) -> None:
        self._num_ticks = num_ticks
        self._num_replays = num_replays
        self._num_done = num_ticks * num_kept
        self._seconds: list[float] = []

    def events(self, number: int, planned: PlannedReplay, listener: BacktestListener) -> TickEvents:
        """Return the functions that forward the events of one replay to the listener.

        Args:
            number: Number of the replay, from 1.
            planned: The plan of the replay.
            listener: The listener of the backtest.
        """

        def started(position: int, arrival: Arrival) -> None:
            listener.tick_started(planned, arrival, self._progress(number, position))

        def finished(position: int, tick: ReplayedTick) -> None:
            self._num_done += 1
            self._seconds.append(tick.seconds)
            listener.tick_finished(planned, tick, self._progress(number, position))

        return TickEvents(started, finished, listener.learning)

    def _progress(self, number: int, position: int) -> BacktestProgress:
        total = self._num_ticks * self._num_replays
        return BacktestProgress(
            replay=number,
            num_replays=self._num_replays,
            tick=position + 1,
            num_ticks=self._num_ticks,
            num_done=self._num_done,
            num_total=total,
            seconds_left=sum(self._seconds) / len(self._seconds) * (total - self._num_done)
            if self._seconds
            else None,
        )


def _content(
    config: BacktestConfig,
    deliveries: Deliveries,
    retraining: Retraining,
    replays: Sequence[Replay],
) -> dict[str, Any]:
    arrivals = [
        {
            "name": arrival.name,
            "date": arrival.date.isoformat(timespec="seconds"),
            "files": [file.name for file in arrival.files],
            "num_images": deliveries.num_images(arrival),
        }
        for arrival in deliveries.arrivals
    ]
    return {
        "retraining": retraining.name,
        "folder": shown(config.folder),
        "group_by": config.group_by,
        "seed": retraining.experiment.seed,
        "confidence": CONFIDENCE,
        "past_arrivals": arrivals,
        "summary": [row.as_json() for row in tally(replays)],
        "replays": [replay.as_json() for replay in replays],
    }


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    from orchestrator.reporting.backtest_report import backtest_report  # noqa: PLC0415 - loads jinja2 and matplotlib
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415 - as above

    path = folder / output_files.BACKTEST_FILE
    try:
        write_json(path, content)
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be written ({error.strerror or error})",
            where=str(path),
            next_step="free some space, and run the same command again: finished replays are kept",
        ) from None
    write_page(folder / output_files.BACKTEST_REPORT_FILE, backtest_report(content))


@contextmanager
def _scratch_folder(parent: Path) -> Iterator[Path]:
    """Remove the temporary folders that killed processes have left, then create a new one. This
    process holds the lock of the output folder, so no other process uses the removed folders.
    """
    shutil.rmtree(parent, ignore_errors=True)
    parent.mkdir(parents=True, exist_ok=True)
    try:
        # the folder's name is unique, because MLflow does not close the databases of earlier
        # backtests in this process
        yield Path(tempfile.mkdtemp(dir=parent))
    finally:
        shutil.rmtree(parent, ignore_errors=True)
