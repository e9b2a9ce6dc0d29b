"""The history of a retraining as values: its versions, and how each of them was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from orchestrator.config.roles import Role
from orchestrator.reporting.quantities import count
from orchestrator.retraining.class_accuracies import ClassAccuracies
from orchestrator.retraining.tick_record import TickRecord
from orchestrator.retraining.version_events import VersionEvent
from orchestrator.retraining.version_states import CHAMPION, VersionState

_MOST_COUNTED = 12
# States of a version that has been the champion.
_REIGNED = (
    VersionState.CHAMPION,
    VersionState.PREVIOUS,
    VersionState.RETIRED,
    VersionState.ROLLED_BACK,
)


@dataclass(frozen=True)
class GateCondition:
    """One condition of the gate as it was recorded.

    Attributes:
        name: What is measured, in words.
        key: The same, for tags.
        value: Measured.
        lower: Lower end of the interval; None where there is none.
        upper: Upper end.
        bound: What the value is held against; None where it is only reported.
        is_upper: Whether the bound is the most, instead of the least, that is allowed.
        verdict: In words: "met", "violated", "not enough images" or "reported".
        is_share: Whether value, interval and bound are fractions, shown in percent.
        num_images: That it was measured on; None where that is not recorded.
        more_images: About so many more would decide; None where it is decided.
    """

    name: str
    key: str
    value: float
    lower: float | None
    upper: float | None
    bound: float | None
    is_upper: bool
    verdict: str
    is_share: bool = True
    num_images: int | None = None
    more_images: int | None = None


@dataclass(frozen=True)
class Delivery:
    """Files that a version learned from, and the version before it did not.

    Attributes:
        num_files: How many.
        num_images: By class, held-out images among them.
        num_unlabeled_files: Further files, without labels.
        new_classes: Learned for the first time.
        refreshed: Known classes that were learned again.
    """

    num_files: int
    num_images: Mapping[str, int]
    num_unlabeled_files: int
    new_classes: Sequence[str]
    refreshed: Sequence[str]

    @property
    def total(self) -> int:
        """Return the number of images."""
        return sum(self.num_images.values())

    @property
    def counts(self) -> str:
        """Return `CLASS: IMAGES` of each class; of many classes only how many there are."""
        if len(self.num_images) <= _MOST_COUNTED:
            return ", ".join(f"{label}: {count(num)}" for label, num in self.num_images.items())
        least, most = min(self.num_images.values()), max(self.num_images.values())
        return f"{count(len(self.num_images))} classes, {count(least)} to {count(most)} images each"


@dataclass(frozen=True)
class Version:
    """A pair of a teacher and a student in the registry.

    Attributes:
        student: Version of the student; names the pair.
        teacher: Version of the teacher.
        registered: When.
        state: In a word, as its tag has it.
        reason: Why it has that state.
        decided_by: Who decided it; empty where that is not recorded.
        num_classes: That it knows.
        accuracy: By role, after its last task, in [0, 1].
        events: All states that it has had, the oldest first; empty where they were not recorded.
        conditions: Of the gate.
        old_conditions: Of the gate, as text, where an earlier release recorded them.
        classes: By name, in the order of learning; empty where they are not known.
        delivery: What it learned from; None where that is not known.
        class_accuracies: Of each class; None where they were not recorded.
        tick: The tick that learned it; None where that was not recorded.
        run_id: The run that learned it; empty where it is not known.
        links: Addresses of its pages, by name.
    """

    student: int
    teacher: int
    registered: datetime
    state: str
    reason: str
    num_classes: int
    accuracy: Mapping[Role, float]
    decided_by: str = ""
    events: Sequence[VersionEvent] = ()
    conditions: Sequence[GateCondition] = ()
    old_conditions: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    delivery: Delivery | None = None
    class_accuracies: ClassAccuracies | None = None
    tick: TickRecord | None = None
    run_id: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def life(self) -> Sequence[VersionEvent]:
        """Return its events; where they were not recorded, its state as of its registration."""
        return self.events or [
            VersionEvent(self.registered, self.state, self.reason, self.decided_by)
        ]

    @property
    def has_reigned(self) -> bool:
        """Return whether it is the champion, or has been."""
        return self.state in _REIGNED or any(event.state == CHAMPION for event in self.events)

    @property
    def decision(self) -> VersionEvent:
        """Return the event that made it champion; where there is none, its last event."""
        return next((event for event in self.life if event.state == CHAMPION), self.life[-1])


class Reign(NamedTuple):
    """A version that became champion at some moment."""

    since: datetime
    version: Version


@dataclass(frozen=True)
class History:
    """A retraining as its registry has it.

    Attributes:
        name: Of the retraining.
        champion: The version with the alias; None while there is none.
        versions: All that were ever registered and not deleted, the oldest first.
        last_tick: The last one that was recorded.
        file: How a person names the retraining in a command.
    """

    name: str
    champion: Version | None = None
    versions: Sequence[Version] = ()
    last_tick: TickRecord | None = None
    file: str = "RETRAINING.yaml"

    @property
    def reigns(self) -> list[Reign]:
        """Return who became champion when, the earliest first."""
        found = []
        for version in self.versions:
            since = [event.at for event in version.events if event.state == CHAMPION]
            if not since and version.has_reigned:
                since = [version.registered]
            found += [Reign(moment, version) for moment in since]
        return sorted(found, key=lambda reign: reign.since)

    def champion_at(self, moment: datetime) -> Version | None:
        """Return the champion of a moment; None before the first."""
        earlier = [reign.version for reign in self.reigns if reign.since <= moment]
        return earlier[-1] if earlier else None
