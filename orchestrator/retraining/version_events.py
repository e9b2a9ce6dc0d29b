"""Record every change of a model version's state as an event, in one tag of the version.

Other tags of the version contain only the latest state and the reason for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

_MAX_TEXT = 4900
_MAX_REASON = 400


@dataclass(frozen=True)
class VersionEvent:
    """A change of a version's state.

    Attributes:
        at: Time of the change.
        state: The new state, as one word.
        reason: The reason for the change, as one sentence.
        decided_by: Who decided; empty if not recorded, or if the change follows from a decision
            about another version.
    """

    at: datetime
    state: str
    reason: str = ""
    decided_by: str = ""


def with_event(text: str, event: VersionEvent) -> str:
    """Append an event to the events in a tag's text, and return the new text.

    An event that repeats the last event is skipped. If the text gets too long for a tag, the oldest
    events are dropped, except for the very first event: the first and the latest events are the
    most useful.
    """
    event = replace(event, reason=_clipped(event.reason))
    events = read_events(text)
    if events and replace(events[-1], at=event.at) == event:
        return text
    events.append(event)
    while len(written := _written(events)) > _MAX_TEXT and len(events) > 1:
        del events[1 if len(events) > 2 else 0]
    return written


def read_events(text: str) -> list[VersionEvent]:
    """Return the events in a tag's text, the oldest first; empty if the text is missing or
    corrupt.
    """
    try:
        return [
            VersionEvent(
                datetime.fromisoformat(row["at"]).astimezone(UTC),
                str(row["state"]),
                str(row.get("reason", "")),
                str(row.get("decided_by", "")),
            )
            for row in json.loads(text or "[]")
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _written(events: Sequence[VersionEvent]) -> str:
    rows = [
        {
            "at": event.at.isoformat(timespec="seconds"),
            "state": event.state,
            **({"reason": event.reason} if event.reason else {}),
            **({"decided_by": event.decided_by} if event.decided_by else {}),
        }
        for event in events
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _clipped(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 1]}…"
