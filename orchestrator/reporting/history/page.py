"""Render the history page of a retraining. The page tells a person what happened in the last 30
days, and what that person must do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.config.roles import ROLES
from orchestrator.reporting.history import sentences
from orchestrator.reporting.history.charts import ChartGroup, history_charts
from orchestrator.reporting.history.classes import NUM_OPEN, class_table
from orchestrator.reporting.history.facts import GateCondition, History
from orchestrator.reporting.history.verdicts import verdict_row
from orchestrator.reporting.pages import render
from orchestrator.retraining.tick_record import TickRecord

NUM_OPEN_VERSIONS = 12
_MOST_VERDICTS = 60


@dataclass(frozen=True)
class ShownTick:
    """Tick that a history page shows as the last tick.

    Attributes:
        record: Record of the tick and its outcome.
        is_dry: Whether the tick was a dry run.
        conditions: The conditions of the promotion gate for a candidate that was not registered.
            Empty for a registered candidate, because `Version.conditions` has them.
    """

    record: TickRecord
    is_dry: bool = False
    conditions: Sequence[GateCondition] = ()


def history_page(
    history: History,
    now: datetime,
    tick: ShownTick | None = None,
    more_charts: Sequence[ChartGroup] = (),
) -> str:
    """Return the history page of a retraining as HTML.

    Args:
        history: The history, read from the registry.
        now: The current time, at which the page's period of 30 days ends.
        tick: The tick that writes the page; None to show the last tick in `history`.
        more_charts: Additional sections with charts, shown below the timeline.
    """
    last_tick = tick or (ShownTick(history.last_tick) if history.last_tick else None)
    return render(
        "history.html.j2",
        title=history.name,
        history=history,
        champion_sentences=sentences.champion_sentences(history),
        recent_days=sentences.RECENT_DAYS,
        recent=sentences.recent_sentences(history, now),
        events=sentences.recent_events(history, now),
        needs=sentences.needs(history),
        class_sentences=sentences.class_sentences(history),
        named=sentences.named,
        event_sentence=sentences.event_sentence,
        decider=sentences.decider,
        tick=last_tick,
        verdict_row=verdict_row,
        most_verdicts=_MOST_VERDICTS,
        num_open_versions=NUM_OPEN_VERSIONS,
        charts=history_charts(history, now),
        more_charts=more_charts,
        class_tables={role: class_table(history, role) for role in reversed(ROLES)},
        num_open_classes=NUM_OPEN,
    )
