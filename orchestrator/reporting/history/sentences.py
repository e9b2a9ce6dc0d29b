"""Describe the history of a retraining in sentences: the champion, the last 30 days, and what a
person must do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.reporting.history.classes import worst_class
from orchestrator.reporting.history.facts import History, Version
from orchestrator.reporting.quantities import count, moment, percent, signed_points
from orchestrator.retraining.state import GATE
from orchestrator.retraining.tick_record import TickRecord
from orchestrator.retraining.version_events import VersionEvent
from orchestrator.retraining.version_states import CHAMPION, VersionState

RECENT_DAYS = 30
_MOST_NAMED = 12
_MOST_EVENTS = 30
_FOLLOWED = (VersionState.PREVIOUS, VersionState.RETIRED)
_MONITORED = ("agreement", "far_images", "class_drift", "silent_folder")
# Kinds of findings about files that a person must check. Ticks (checks for new files) skip
# quarantined and changed files. While a file from which the champion has learned is being
# rewritten, ticks learn nothing.
_FILES_OF_A_PERSON = ("quarantined_files", "rewritten_files", "changed_files")


@dataclass(frozen=True)
class DatedEvent:
    """Event in the history of a version, together with that version."""

    version: Version
    event: VersionEvent


def champion_sentences(history: History) -> list[str]:
    """Return sentences about the champion: since when, promoted by whom, with how many classes and
    which accuracy.
    """
    champion = history.champion
    if champion is None:
        return ["There is no champion: no version has the alias “champion”."]
    since = [reign.since for reign in history.reigns if reign.version is champion]
    begun = f" since {moment(since[-1])}" if since else ""
    who = (
        f"Version {champion.student} of the student, with version {champion.teacher} of the"
        f" teacher, has been the champion{begun}, promoted by {decider(champion.decision)}."
    )
    accuracy = champion.accuracy
    knows = (
        f"It knows {_things(champion.num_classes, 'class', 'classes')}; on held-out images the"
        f" student’s accuracy is {percent(accuracy['student'])} and the teacher’s"
        f" {percent(accuracy['teacher'])} (mean over the tasks)."
    )
    return [who, knows]


def recent_sentences(history: History, now: datetime) -> list[str]:
    """Return sentences about the last 30 days: the trained versions, the change of champion, and
    the last tick.
    """
    begin = now - timedelta(days=RECENT_DAYS)
    recent = [version for version in history.versions if version.registered >= begin]
    if not recent:
        last = history.versions[-1:]
        when = f" The last version was registered on {moment(last[0].registered)}." if last else ""
        told = [f"No version was trained in the last {RECENT_DAYS} days.{when}"]
    else:
        told = [
            f"{_things(len(recent), 'version')} {_was(len(recent))} trained: {_fates(recent)}.",
            *_arrivals(recent),
        ]
    told += _change_of_champion(history.champion_at(begin), history.champion)
    if history.last_tick is not None:
        tick = history.last_tick
        told.append(
            f"The last recorded tick ended {moment(tick.at)}, {_ago(now - tick.at)}:"
            f" {tick.outcome.replace('_', ' ')}."
        )
    return told


def recent_events(history: History, now: datetime) -> list[DatedEvent]:
    """Return at most 30 events of the last 30 days, newest first.

    If a new champion replaces the former champion, both versions have an event. Only the event of
    the new champion is returned.
    """
    begin = now - timedelta(days=RECENT_DAYS)
    found = [
        DatedEvent(version, event)
        for version in history.versions
        for event in version.life
        if event.at >= begin and event.state not in _FOLLOWED
    ]
    return sorted(found, key=lambda it: it.event.at, reverse=True)[:_MOST_EVENTS]


def class_sentences(history: History) -> list[str]:
    """Return a sentence about the class on which the champion's student has its lowest accuracy;
    empty if unknown.
    """
    worst = worst_class(history.champion, "student") if history.champion else None
    if worst is None:
        return []
    name, accuracy, num_images = worst
    of_images = f"{percent(accuracy)} of {_things(num_images, 'held-out image')}"
    return [f"The champion’s weakest class is {name}: {of_images}."]


def needs(history: History) -> list[str]:
    """Return sentences that say what a person must do, the most urgent first; empty if no action is
    needed.
    """
    return [
        *_missing_champion(history),
        *_asked(history),
        *(_of_last_tick(history.last_tick) if history.last_tick else ()),
        *_held(history),
    ]


def _missing_champion(history: History) -> Iterator[str]:
    if history.versions and history.champion is None:
        yield (
            "No version has the alias “champion”: give it to a version of the student in MLflow, or"
            f" run `orchestrator rollback {history.file}`."
        )


def _asked(history: History) -> Iterator[str]:
    for version in history.versions:
        if version.state == VersionState.ASKED:
            yield (
                f"Version {version.student} waits for your decision ({version.reason}):"
                f" {_commands(history, version)}."
            )


def _held(history: History) -> Iterator[str]:
    for version in history.versions:
        if version.state == VersionState.HELD:
            yield (
                f"Version {version.student} is held ({version.reason}). The next ticks judge it"
                f" again; to decide now, run {_commands(history, version)}."
            )


def _commands(history: History, version: Version) -> str:
    return " or ".join(
        f"`orchestrator {verb} {history.file} {version.student} --reason TEXT`"
        for verb in ("approve", "reject")
    )


def _of_last_tick(tick: TickRecord) -> Iterator[str]:
    if tick.outcome == "failed":
        yield f"The last tick failed ({moment(tick.at)}): {tick.reason}"
    for finding in tick.findings:
        if finding.reaction == "refuse":
            yield f"The last tick ({moment(tick.at)}) rejected the new files: {finding.message}."
        elif finding.kind in _FILES_OF_A_PERSON:
            yield f"The last tick ({moment(tick.at)}) skipped files: {finding.message}."
        elif finding.kind in _MONITORED:
            yield f"The last tick ({moment(tick.at)}) warned: {finding.message}."
    if tick.advice:
        yield f"{tick.advice[:1].upper()}{tick.advice[1:]}."


def _fates(versions: Sequence[Version]) -> str:
    fates = Counter(
        CHAMPION
        if version.has_reigned and version.state != VersionState.ROLLED_BACK
        else version.state
        for version in versions
    )
    return ", ".join(f"{number} {_fate(state, number)}" for state, number in fates.items())


def _fate(state: str, number: int = 1) -> str:
    if state == CHAMPION:
        return "became champion"
    if state == VersionState.ASKED:
        return f"wait{'s' if number == 1 else ''} for a person"
    return f"{_was(number)} {state}"


def event_sentence(event: VersionEvent) -> str:
    """Return a version's event in words, such as `was rejected by anna (REASON)`."""
    by = f" by {event.decided_by}" if event.decided_by not in ("", GATE) else ""
    return f"{_fate(event.state)}{by}{f' ({event.reason})' if event.reason else ''}"


def _arrivals(versions: Sequence[Version]) -> Iterator[str]:
    deliveries = [it.delivery for it in versions if it.has_reigned and it.delivery is not None]
    num_files = sum(delivery.num_files for delivery in deliveries)
    if num_files:
        num_images = sum(delivery.total for delivery in deliveries)
        yield (
            f"The new champions learned from {_things(num_images, 'new image')} in"
            f" {_things(num_files, 'file')}."
        )


def _change_of_champion(before: Version | None, now: Version | None) -> Iterator[str]:
    if before is None or now is None:
        return
    if before is now:
        yield "The champion is the same as 30 days ago."
        return
    new = [name for name in now.classes if name not in set(before.classes)]
    known = (
        f"it knows {_things(len(new), 'more class', 'more classes')} ({named(new)})"
        if new and before.classes
        else f"it knows {_things(now.num_classes, 'class', 'classes')}, as before"
        if now.num_classes == before.num_classes
        else f"it knows {now.num_classes} instead of {before.num_classes} classes"
    )
    difference = now.accuracy["student"] - before.accuracy["student"]
    yield (
        f"The champion of 30 days ago was version {before.student}; since then {known}, and the"
        f" student’s accuracy on all its classes changed from"
        f" {percent(before.accuracy['student'])} to {percent(now.accuracy['student'])}"
        f" ({signed_points(difference)} points)."
    )


def named(names: Sequence[str]) -> str:
    """Return a text with the first twelve names and the number of omitted names."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def decider(event: VersionEvent) -> str:
    """Return who decided an event: a person, by name if recorded, or the gate."""
    if event.decided_by and event.decided_by != GATE:
        return event.decided_by
    is_manual = event.state == VersionState.ROLLED_BACK or event.reason.endswith("by hand")
    return "a person" if is_manual else "the gate"


def _things(number: int, one: str, many: str = "") -> str:
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _ago(age: timedelta) -> str:
    if age < timedelta(hours=1):
        return "less than an hour ago"
    if age < timedelta(days=1):
        return f"{_things(int(age.total_seconds() // 3600), 'hour')} ago"
    return f"{_things(age.days, 'day')} ago"
