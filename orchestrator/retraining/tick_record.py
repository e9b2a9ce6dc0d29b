"""Store a short record of a tick as a tag in the registry.

The history page shows the record of the last tick. For each version, the page shows the findings of
the tick that trained the version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

_MAX_TEXT = 4900
_MAX_MESSAGE = 400
_MAX_MOVE = 160
_MOST_MOVES = 10


@dataclass(frozen=True)
class FindingRecord:
    """A finding about the source, as text.

    Attributes:
        kind: See `FindingKind`.
        reaction: The configured reaction.
        message: Text for people.
    """

    kind: str
    reaction: str
    message: str


@dataclass(frozen=True)
class TickRecord:
    """Result of a tick (one run of `orchestrator retrain`).

    Attributes:
        at: Time at which the tick ended.
        outcome: The outcome, as one word.
        reason: The reason for the outcome, as one sentence.
        findings: Findings about the source.
        num_omitted: Number of further findings that did not fit into a tag.
        moves: One sentence for each pair of an old and a new class: how many held-out images of the
            old class are predicted as the new class.
        advice: Advice for a person; empty for none.
    """

    at: datetime
    outcome: str
    reason: str
    findings: Sequence[FindingRecord] = ()
    num_omitted: int = 0
    moves: Sequence[str] = ()
    advice: str = ""

    @classmethod
    def of(cls, summary: Mapping[str, Any], at: datetime) -> TickRecord:
        """Return the record of a tick (one run of `orchestrator retrain`).

        Args:
            summary: Content of the tick's summary.json.
            at: Time at which the tick ended.
        """
        findings = [
            FindingRecord(row["kind"], row["reaction"], row["message"])
            for row in summary.get("findings", ())
        ]
        moves = [
            f"{row['num_images']} of {row['num_held_out']} images of {row['old']} go to"
            f" {row['new']}"
            for row in summary.get("moves", ())[:_MOST_MOVES]
        ]
        return cls(
            at,
            summary["outcome"],
            summary["reason"],
            findings,
            moves=moves,
            advice=summary.get("advice", ""),
        )

    def as_text(self) -> str:
        """Return the record as the text of a tag.

        Long messages are truncated. Findings that do not fit are omitted and counted.
        """
        short = replace(
            self,
            reason=_clipped(self.reason),
            moves=[_clipped(move, _MAX_MOVE) for move in self.moves],
            advice=_clipped(self.advice),
            findings=[replace(it, message=_clipped(it.message)) for it in self.findings],
        )
        while len(text := _text(short)) > _MAX_TEXT and short.findings:
            short = replace(short, findings=short.findings[:-1], num_omitted=short.num_omitted + 1)
        return text


def read_tick_record(text: str) -> TickRecord | None:
    """Return the record that a tag's text contains; None if the text is empty or corrupt."""
    try:
        values = json.loads(text)
        findings = [
            FindingRecord(str(row["kind"]), str(row["reaction"]), str(row["message"]))
            for row in values["findings"]
        ]
        at = datetime.fromisoformat(values["at"]).astimezone(UTC)
        return TickRecord(
            at,
            str(values["outcome"]),
            str(values["reason"]),
            findings,
            int(values["num_omitted"]),
            [str(move) for move in values["moves"]],
            str(values["advice"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(record: TickRecord) -> str:
    values = {**asdict(record), "at": record.at.isoformat(timespec="seconds")}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _clipped(message: str, length: int = _MAX_MESSAGE) -> str:
    return message if len(message) <= length else f"{message[: length - 1]}…"
