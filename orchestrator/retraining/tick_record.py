"""A tick in short, as a tag of the registry: what the history page knows of ticks that learned
nothing, and of the findings with which a version was learned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

_MAX_TEXT = 4900
_MAX_MESSAGE = 400


@dataclass(frozen=True)
class FindingRecord:
    """A finding in the source.

    Attributes:
        kind: See `FindingKind`.
        reaction: As configured.
        message: For people.
    """

    kind: str
    reaction: str
    message: str


@dataclass(frozen=True)
class TickRecord:
    """How a tick ended.

    Attributes:
        at: When.
        outcome: In a word.
        reason: In a sentence.
        findings: In the source.
        num_omitted: Further findings for which a tag had no room.
    """

    at: datetime
    outcome: str
    reason: str
    findings: Sequence[FindingRecord] = ()
    num_omitted: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, Any], at: datetime) -> TickRecord:
        """Return the record of a tick.

        Args:
            summary: The content of its summary.json.
            at: When it ended.
        """
        findings = [
            FindingRecord(row["kind"], row["reaction"], row["message"])
            for row in summary.get("findings", ())
        ]
        return cls(at, summary["outcome"], summary["reason"], findings)

    def as_text(self) -> str:
        """Return it as the text of a tag; long messages are clipped, and findings that a tag
        cannot hold are counted.
        """
        short = replace(
            self,
            reason=_clipped(self.reason),
            findings=[replace(it, message=_clipped(it.message)) for it in self.findings],
        )
        while len(text := _text(short)) > _MAX_TEXT and short.findings:
            short = replace(short, findings=short.findings[:-1], num_omitted=short.num_omitted + 1)
        return text


def read_tick_record(text: str) -> TickRecord | None:
    """Return the record in a tag's text; None where it is empty or damaged."""
    try:
        values = json.loads(text)
        findings = [
            FindingRecord(str(row["kind"]), str(row["reaction"]), str(row["message"]))
            for row in values["findings"]
        ]
        at = datetime.fromisoformat(values["at"]).astimezone(UTC)
        return TickRecord(
            at, str(values["outcome"]), str(values["reason"]), findings, int(values["num_omitted"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(record: TickRecord) -> str:
    values = {**asdict(record), "at": record.at.isoformat(timespec="seconds")}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _clipped(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 1]}…"
