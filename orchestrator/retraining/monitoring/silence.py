"""Detect folders in which nothing has arrived for longer than usual."""

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
    """Frequency of arrivals in a folder.

    Attributes:
        usual_seconds: Length of a usual gap. Gaps up to this length make up three quarters of the
            observed time.
        num_arrivals: Number of arrivals; files written close together count once.
    """

    usual_seconds: float
    num_arrivals: int


def rhythm_of(times: Sequence[float], min_gap_seconds: float) -> Rhythm:
    """Return how often files have arrived.

    Gaps are weighted by their length. So in a folder that receives files three times each workday,
    a weekend counts as a usual gap.

    Args:
        times: Time at which each file was written, in seconds, in any order.
        min_gap_seconds: Files belong to one arrival if the time between them is shorter than this.
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
    """Return a finding if nothing has arrived in a folder for longer than usual, else None.

    Args:
        times: Time at which each file was written, including files that were removed since, in
            seconds since 1970.
        folder: Configuration key of the folder.
        config: Configuration of monitoring, including the thresholds.
        now: Present time in seconds since 1970.
    """
    rhythm = rhythm_of(times, config.min_silence_seconds)
    if config.silence_factor is None or rhythm.num_arrivals < MIN_ARRIVALS:
        return None
    silent = now - max(times)
    if silent <= max(config.silence_factor * rhythm.usual_seconds, config.min_silence_seconds):
        return None
    what = (
        f"nothing has arrived in {folder} for {_span(silent)}; usual gaps last up to"
        f" {_span(rhythm.usual_seconds)}: check the process that delivers there, or set"
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
    """Return a finding for each folder of a retraining in which nothing has arrived for longer than
    usual.

    Args:
        retraining: Configuration of the retraining, including the folders.
        found: Scan of the labelled folder.
        lineage: Lineage of the champion, which records the modification times of missing files.
        unlabeled: Files in the folder of images without labels.
        now: Present time in seconds since 1970; None means now.
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
