"""Say that nothing has arrived in a folder for longer than usual."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from orchestrator.config.monitoring import MonitoringConfig
from orchestrator.config.retraining import Retraining
from orchestrator.data.growing_folder import SourceFile
from orchestrator.retraining.changes import Finding, FindingKind
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.scan import Scan

MIN_ARRIVALS = 5
_SHARE_OF_TIME = 0.75
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))


class Rhythm(NamedTuple):
    """Describe how often something arrives.

    Attributes:
        usual_seconds: Three quarters of the time so far lay in gaps no longer than this.
        num_arrivals: Files that came together count once.
    """

    usual_seconds: float
    num_arrivals: int


def rhythm_of(times: Sequence[float], min_gap_seconds: float) -> Rhythm:
    """Return how often something has arrived.

    A gap weighs as much as it lasts: a folder that is fed three times on each workday has its
    weekends as usual gaps.

    Args:
        times: When each file was written, in any order, in seconds.
        min_gap_seconds: Files closer to each other are one arrival.
    """
    gaps = np.sort(np.diff(np.unique(np.asarray(times, dtype=np.float64))))
    gaps = gaps[gaps >= min_gap_seconds]
    if not len(gaps):
        return Rhythm(0.0, min(1, len(times)))
    passed = np.cumsum(gaps)
    usual = float(gaps[np.searchsorted(passed, _SHARE_OF_TIME * passed[-1])])
    return Rhythm(usual, 1 + len(gaps))


def silence_of(
    times: Sequence[float], folder: str, config: MonitoringConfig, now: float
) -> Finding | None:
    """Return a finding where a folder has been silent for longer than usual.

    Args:
        times: When each file was written that is, or was, there; seconds since 1970.
        folder: What the folder is called in the configuration.
        config: How long is long.
        now: Seconds since 1970.
    """
    rhythm = rhythm_of(times, config.min_silence_seconds)
    if config.silence_factor is None or rhythm.num_arrivals < MIN_ARRIVALS:
        return None
    silent = now - max(times)
    if silent <= max(config.silence_factor * rhythm.usual_seconds, config.min_silence_seconds):
        return None
    what = (
        f"nothing has arrived in {folder} for {_span(silent)}, so far something came within"
        f" {_span(rhythm.usual_seconds)}: check what delivers there, or set"
        " monitoring.silence_factor"
    )
    return Finding(FindingKind.SILENT_FOLDER, "warn", what)


def silent_folders(
    retraining: Retraining,
    found: Scan,
    lineage: Lineage,
    unlabeled: Sequence[SourceFile],
    now: float | None = None,
) -> list[Finding]:
    """Return a finding for each folder of a retraining that is silent for longer than usual.

    Args:
        retraining: Its folders.
        found: In the folder with labels.
        lineage: Of the champion: when files came that are gone.
        unlabeled: Files in the folder without labels.
        now: Seconds since 1970; None means now.
    """
    now = time.time() if now is None else now
    times = {
        "source.path": [*found.modified, *(file.modified for file in lineage.files)],
        "source.unlabeled.path": [
            *(file.modified for file in unlabeled),
            *(file.modified for file in lineage.unlabeled),
        ],
    }
    silences = (silence_of(at, name, retraining.monitoring, now) for name, at in times.items())
    return [finding for finding in silences if finding is not None]


def _span(seconds: float) -> str:
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
