"""Count the gate's errors in replays of past arrivals.

A false alarm occurs if files with correct labels arrive and are judged, but no candidate is
promoted: the gate rejects or holds the candidate, or a reaction refuses the files. A miss occurs if
a champion learned from wrong labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.retraining.backtest.replays import NOT_JUDGED, Replay, ReplayedTick

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """Frequency of one kind of gate error.

    Attributes:
        count: Number of cases in which the error happened.
        total: Number of cases in which the error could have happened.
    """

    count: int
    total: int

    @property
    def share(self) -> float | None:
        """Return the count as a share of the total, in [0, 1]; None if the total is 0."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the exact binomial confidence interval of the share (Clopper and Pearson 1934).

        The interval has the confidence level `CONFIDENCE` and treats all cases as independent.
        Return None if the total is 0.
        """
        if not self.total:
            return None
        from scipy.stats import binomtest  # noqa: PLC0415 - takes half a second to import

        found = binomtest(self.count, self.total).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, Any]:
        """Return the rate's count, total, share and confidence interval as JSON values."""
        low, high = self.interval or (None, None)
        return {
            "count": self.count,
            "total": self.total,
            "share": self.share,
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class Tally:
    """Totals over all replays that share one gate setting and one share of wrong labels.

    Attributes:
        setting: Override of the gate's configuration; empty for the gate of the retraining file.
        wrong_labels: Share of wrong labels; 0 means none were injected.
        num_replays: Number of replays.
        outcomes: Number of ticks (runs of `orchestrator retrain`) by outcome, such as "promoted".
            With wrong labels, only the ticks that first found the wrong labels are counted.
        false_alarms: Rate of ticks that judged new files without promoting a candidate; None for
            replays with wrong labels.
        misses: Rate of replays in which a champion learned from wrong labels; None for replays
            without wrong labels.
    """

    setting: str
    wrong_labels: float
    num_replays: int
    outcomes: Mapping[str, int]
    false_alarms: Rate | None = None
    misses: Rate | None = None

    def as_json(self) -> dict[str, Any]:
        """Return these totals in the format of backtest.json."""
        return {
            "setting": self.setting,
            "wrong_labels": self.wrong_labels,
            "replays": self.num_replays,
            "outcomes": dict(self.outcomes),
            "false_alarms": self.false_alarms and self.false_alarms.as_json(),
            "misses": self.misses and self.misses.as_json(),
        }


def tally(replays: Sequence[Replay]) -> list[Tally]:
    """Return totals (a tally) for each combination of gate setting and share of wrong labels.

    The tallies have the order in which their combinations first occur among the replays.
    """
    groups: dict[tuple[str, float], list[Replay]] = {}
    for replay in replays:
        groups.setdefault((replay.planned.setting, replay.planned.share), []).append(replay)
    return [
        _with_wrong_labels(setting, share, group) if share else _without(setting, group)
        for (setting, share), group in groups.items()
    ]


def _without(setting: str, replays: Sequence[Replay]) -> Tally:
    ticks = [tick for replay in replays for tick in replay.ticks]
    judged = [tick for tick in ticks if tick.outcome not in NOT_JUDGED]
    alarms = Rate(sum(tick.outcome != "promoted" for tick in judged), len(judged))
    return Tally(setting, 0.0, len(replays), _outcomes(ticks), false_alarms=alarms)


def _with_wrong_labels(setting: str, share: float, replays: Sequence[Replay]) -> Tally:
    found = [tick for replay in replays for tick in replay.ticks if tick.num_wrong]
    missed = sum(any(tick.learned_wrong for tick in replay.ticks) for replay in replays)
    return Tally(setting, share, len(replays), _outcomes(found), misses=Rate(missed, len(replays)))


def _outcomes(ticks: Iterable[ReplayedTick]) -> dict[str, int]:
    return dict(Counter(tick.outcome for tick in ticks))
