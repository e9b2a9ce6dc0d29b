"""Define the history of a retraining as plain objects: its model versions, with the promotion
gate's verdict on each version.

Each tick of a retraining checks for new files once, and may train a new version, the candidate. The
gate or a person decides whether the candidate replaces the champion, the version in use.
"""

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
# States of a version that is, or once was, the champion.
_REIGNED = (
    VersionState.CHAMPION,
    VersionState.PREVIOUS,
    VersionState.RETIRED,
    VersionState.ROLLED_BACK,
)


@dataclass(frozen=True)
class GateCondition:
    """Quantity that the promotion gate measured for a candidate, with the required bound and the
    verdict.

    Attributes:
        name: The measured quantity, in words.
        key: Name of the measured quantity in registry tags.
        value: The measured value.
        lower: Lower end of the value's confidence interval; None without an interval.
        upper: Upper end of the value's confidence interval; None without an interval.
        bound: The value's required bound; None if the value is only reported.
        is_upper: Whether the bound is a maximum instead of a minimum.
        verdict: "met", "violated", "not enough images" or "reported" (not checked).
        is_share: Whether value, interval and bound are fractions, shown in percent.
        num_images: Number of images on which the value was measured; None if not recorded.
        more_images: Approximate number of further images that would decide the condition; None if
            the condition is decided.
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
    """Delivered files of a version: the version has learned from these files, and its predecessor
    has not.

    Attributes:
        num_files: Number of new files with labels.
        num_images: Number of labelled images in these files by class, including held-out images.
        num_unlabeled_files: Number of new files without labels.
        new_classes: Classes that the version learned for the first time.
        refreshed: Classes of the predecessor that the version learned again.
    """

    num_files: int
    num_images: Mapping[str, int]
    num_unlabeled_files: int
    new_classes: Sequence[str]
    refreshed: Sequence[str]

    @property
    def total(self) -> int:
        """Return the total number of labelled images in the delivered files."""
        return sum(self.num_images.values())

    @property
    def counts(self) -> str:
        """Return the number of images of each class as text, such as `cat: 40, dog: 35`; for many
        classes, such as `30 classes, 35 to 60 images each`.
        """
        if len(self.num_images) <= _MOST_COUNTED:
            return ", ".join(f"{label}: {count(num)}" for label, num in self.num_images.items())
        least, most = min(self.num_images.values()), max(self.num_images.values())
        return f"{count(len(self.num_images))} classes, {count(least)} to {count(most)} images each"


@dataclass(frozen=True)
class Version:
    """Registered pair of a teacher and a student.

    Attributes:
        student: Version number of the student in the registry; pages use this number for the pair.
        teacher: Version number of the teacher in the registry.
        registered: Time of registration.
        state: The version's current state, as recorded in its registry tag.
        reason: The reason for the current state.
        decided_by: Name of the person, or of the gate, that decided the current state; empty if not
            recorded.
        num_classes: Number of classes that the version has learned.
        accuracy: Accuracy after the last task, by role, in [0, 1].
        events: All changes of the version's state, oldest first; empty if not recorded.
        conditions: The conditions that the promotion gate checked for the version.
        old_conditions: The conditions in the text form of earlier releases; empty for versions
            registered by a later release.
        classes: Names of the learned classes, in the order of learning; empty if unknown.
        delivery: The files that this version was the first to learn from; None if unknown.
        class_accuracies: Accuracy on each class; None if not recorded.
        tick: Record of the tick that trained the version; None if not recorded.
        run_id: Id of the run that trained the version; empty if unknown.
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
        """Return the version's events. If none is recorded, return a single event, made of the
        current state and the time of registration.
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
        """Return the event that decided on the version: the event that first made the version
        champion or, if the version never was champion, its last event.
        """
        return next((event for event in self.life if event.state == CHAMPION), self.life[-1])


class Reign(NamedTuple):
    """Version that became champion, and the time of its promotion."""

    since: datetime
    version: Version


@dataclass(frozen=True)
class History:
    """History of a retraining, read from the model registry.

    Attributes:
        name: Name of the retraining.
        champion: The version with the alias `champion`; None if no version has the alias.
        versions: All registered versions that were not deleted, oldest first.
        last_tick: Record of the last tick; None if no tick is recorded.
        file: Name of the retraining file, shown in commands that the page suggests.
    """

    name: str
    champion: Version | None = None
    versions: Sequence[Version] = ()
    last_tick: TickRecord | None = None
    file: str = "RETRAINING.yaml"

    @property
    def reigns(self) -> list[Reign]:
        """Return one entry for each time that a version became champion, earliest first."""
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
