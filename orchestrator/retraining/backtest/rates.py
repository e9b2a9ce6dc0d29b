"""Count how often the gate was wrong in replays: false alarms and misses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.retraining.backtest.replays import NOT_JUDGED, Replay, ReplayedTick

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """Hold how many of how many.

    Attributes:
        count: That had it.
        total: That could have had it.
    """

    count: int
    total: int

    @property
    def share(self) -> float | None:
        """The fraction in [0, 1]; None of nothing."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The exact binomial interval (Clopper and Pearson 1934) at `CONFIDENCE`, as if all cases
        were independent; None of nothing.
        """
        if not self.total:
            return None
        from scipy.stats import binomtest  # noqa: PLC0415 - takes half a second to import

        found = binomtest(self.count, self.total).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, Any]:
        """Return counts, share and interval."""
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
    """Hold what replays with one share of wrong labels and one gate add up to.

    Attributes:
        setting: The override that makes the gate; empty for the file as it is.
        wrong_labels: Their share; 0 means none were injected.
        num_replays: How many.
        outcomes: Of all ticks without wrong labels; else of the ticks that found them first.
        false_alarms: Ticks of replays without wrong labels that judged what had arrived and did not
            promote it; None with wrong labels.
        misses: Replays in which a champion has learned from wrong labels; None without.
    """

    setting: str
    wrong_labels: float
    num_replays: int
    outcomes: Mapping[str, int]
    false_alarms: Rate | None = None
    misses: Rate | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as backtest.json has it."""
        return {
            "setting": self.setting,
            "wrong_labels": self.wrong_labels,
            "replays": self.num_replays,
            "outcomes": dict(self.outcomes),
            "false_alarms": self.false_alarms and self.false_alarms.as_json(),
            "misses": self.misses and self.misses.as_json(),
        }


def tally(replays: Sequence[Replay]) -> list[Tally]:
    """Return one tally for every setting and share, in the order in which they come."""
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
