"""Count the gate's errors in replays: false alarms and misses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.retraining.backtest.replays import NOT_JUDGED, Replay, ReplayedTick

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """A count out of a total.

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
        """Return the exact binomial interval (Clopper and Pearson 1934) at `CONFIDENCE`, as if all
        cases were independent; None if the total is 0.
        """
        if not self.total:
            return None
        from scipy.stats import binomtest  # noqa: PLC0415 - takes half a second to import

        found = binomtest(self.count, self.total).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, Any]:
        """Return the rate's counts, share and interval as JSON values."""
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
    """Totals over the replays with one gate setting and one share of wrong labels.

    Attributes:
        setting: Override of the gate's configuration; empty means the gate of the file.
        wrong_labels: Share of wrong labels; 0 means none were injected.
        num_replays: Number of replays.
        outcomes: Counts by outcome: all ticks count if no labels are wrong, otherwise only the
            ticks that first found the wrong labels.
        false_alarms: Ticks of replays without wrong labels that judged an arrival and did not
            promote it; None with wrong labels.
        misses: Replays in which a champion learned from wrong labels; None without wrong labels.
    """

    setting: str
    wrong_labels: float
    num_replays: int
    outcomes: Mapping[str, int]
    false_alarms: Rate | None = None
    misses: Rate | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the tally in the format of backtest.json."""
        return {
            "setting": self.setting,
            "wrong_labels": self.wrong_labels,
            "replays": self.num_replays,
            "outcomes": dict(self.outcomes),
            "false_alarms": self.false_alarms and self.false_alarms.as_json(),
            "misses": self.misses and self.misses.as_json(),
        }


def tally(replays: Sequence[Replay]) -> list[Tally]:
    """Return one tally for each setting and share, in order of first appearance."""
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
