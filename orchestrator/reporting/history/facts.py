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
        key: Name of the quantity in tags.
        value: The measured value.
        lower: Lower end of the confidence interval; None without an interval.
        upper: Upper end of the confidence interval; None without an interval.
        bound: The bound on the value; None if the value is only reported.
        is_upper: Whether the bound is a maximum instead of a minimum.
        verdict: "met", "violated", "not enough images" or "reported".
        is_share: Whether value, interval and bound are fractions, shown in percent.
        num_images: Number of images on which the value was measured; None if not recorded.
        more_images: Approximate number of further images that would decide the condition; None if
            it is decided.
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
    """Files from which a version has learned, but its predecessor has not.

    Attributes:
        num_files: Number of files with labels.
        num_images: Number of images by class, including held-out images.
        num_unlabeled_files: Number of files without labels.
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
        """Return the delivery's number of labelled images."""
        return sum(self.num_images.values())

    @property
    def counts(self) -> str:
        """Return `CLASS: IMAGES` for each class; for many classes, their number and the range of
        images.
        """
        if len(self.num_images) <= _MOST_COUNTED:
            return ", ".join(f"{label}: {count(num)}" for label, num in self.num_images.items())
        least, most = min(self.num_images.values()), max(self.num_images.values())
        return f"{count(len(self.num_images))} classes, {count(least)} to {count(most)} images each"


@dataclass(frozen=True)
class Version:
    """Registered pair of a teacher and a student.

    Attributes:
        student: Version number of the student, which also names the pair.
        teacher: Version number of the teacher.
        registered: Time of registration.
        state: The version's state, as recorded in its tag.
        reason: The reason for the state.
        decided_by: Name of the decider; empty if not recorded.
        num_classes: Number of classes that the version knows.
        accuracy: Accuracy after the last task, by role, in [0, 1].
        events: All changes of the version's state, oldest first; empty if not recorded.
        conditions: The gate's conditions.
        old_conditions: The gate's conditions as text, if an earlier release recorded them.
        classes: Names of the known classes, in the order of learning; empty if unknown.
        delivery: The files that this version was the first to learn from; None if unknown.
        class_accuracies: Accuracy of each class; None if not recorded.
        tick: The tick that trained the version; None if not recorded.
        run_id: The run that trained the version; empty if unknown.
        links: Addresses of the version's pages in MLflow, by name.
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
        """Return the version's events; if they are not recorded, one event with the state and the
        time of registration.
        """
        return self.events or [
            VersionEvent(self.registered, self.state, self.reason, self.decided_by)
        ]

    @property
    def has_reigned(self) -> bool:
        """Return whether the version is or was the champion."""
        return self.state in _REIGNED or any(event.state == CHAMPION for event in self.events)

    @property
    def decision(self) -> VersionEvent:
        """Return the event that made the version champion; for other versions, the last event."""
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
        file: Name of the retraining file, shown in commands.
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
