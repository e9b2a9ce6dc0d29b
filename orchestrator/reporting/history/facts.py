"""History of a retraining as values: its versions and their verdicts."""

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
    """Recorded condition of the gate.

    Attributes:
        name: The measured quantity, in words.
        key: Its key in tags.
        value: The measured value.
        lower: Lower end of the interval; None if there is none.
        upper: Upper end of the interval; None if there is none.
        bound: The bound on the value; None if the value is only reported.
        is_upper: Whether the bound is a maximum instead of a minimum.
        verdict: "met", "violated", "not enough images" or "reported".
        is_share: Whether value, interval and bound are fractions, shown in percent.
        num_images: Number of images it was measured on; None if not recorded.
        more_images: Approximate number of further images that would decide; None if decided.
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
    """Files that a version learned from and its predecessor did not.

    Attributes:
        num_files: Number of the files.
        num_images: Number of images by class, including held-out images.
        num_unlabeled_files: Number of further files, without labels.
        new_classes: Classes learned for the first time.
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
        """Return `CLASS: IMAGES` for each class; for many classes only their number and range."""
        if len(self.num_images) <= _MOST_COUNTED:
            return ", ".join(f"{label}: {count(num)}" for label, num in self.num_images.items())
        least, most = min(self.num_images.values()), max(self.num_images.values())
        return f"{count(len(self.num_images))} classes, {count(least)} to {count(most)} images each"


@dataclass(frozen=True)
class Version:
    """Registered pair of a teacher and a student.

    Attributes:
        student: Version number of the student; it names the pair.
        teacher: Version number of the teacher.
        registered: Time of registration.
        state: Its state, as in its tag.
        reason: The reason of the state.
        decided_by: Name of the decider; empty if not recorded.
        num_classes: Number of classes it knows.
        accuracy: Accuracy by role, after its last task, in [0, 1].
        events: All its states, oldest first; empty if not recorded.
        conditions: The gate's conditions.
        old_conditions: The gate's conditions as text, if an earlier release recorded them.
        classes: Names of its classes, in the order of learning; empty if unknown.
        delivery: The files it learned from; None if unknown.
        class_accuracies: Accuracy of each class; None if not recorded.
        tick: The tick that trained it; None if not recorded.
        run_id: The run that trained it; empty if unknown.
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
        """Return its events; if not recorded, one event with its state and registration time."""
        return self.events or [
            VersionEvent(self.registered, self.state, self.reason, self.decided_by)
        ]

    @property
    def has_reigned(self) -> bool:
        """Return whether it is or was the champion."""
        return self.state in _REIGNED or any(event.state == CHAMPION for event in self.events)

    @property
    def decision(self) -> VersionEvent:
        """Return the event that made it champion; if there is none, its last event."""
        return next((event for event in self.life if event.state == CHAMPION), self.life[-1])


class Reign(NamedTuple):
    """Version and the time at which it became champion."""

    since: datetime
    version: Version


@dataclass(frozen=True)
class History:
    """History of a retraining, as its registry records it.

    Attributes:
        name: Name of the retraining.
        champion: The version with the alias `champion`; None if there is none.
        versions: All registered versions that were not deleted, oldest first.
        last_tick: The last recorded tick.
        file: The retraining file, to name in commands.
    """

    name: str
    champion: Version | None = None
    versions: Sequence[Version] = ()
    last_tick: TickRecord | None = None
    file: str = "RETRAINING.yaml"

    @property
    def reigns(self) -> list[Reign]:
        """Return each time a version became champion, earliest first."""
        found = []
        for version in self.versions:
            since = [event.at for event in version.events if event.state == CHAMPION]
            if not since and version.has_reigned:
                since = [version.registered]
            found += [Reign(moment, version) for moment in since]
        return sorted(found, key=lambda reign: reign.since)

    def champion_at(self, moment: datetime) -> Version | None:
        """Return the champion at a time; None before the first champion."""
        earlier = [reign.version for reign in self.reigns if reign.since <= moment]
        return earlier[-1] if earlier else None
