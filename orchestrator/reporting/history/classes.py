"""Tabulate the accuracy of each model version of a retraining on each class, worst classes
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from orchestrator.config.roles import Role
from orchestrator.figures.chart_lines import Line
from orchestrator.figures.matrix_colours import accuracy_colours
from orchestrator.reporting.history.facts import History, Version
from orchestrator.reporting.matrices import Cell
from orchestrator.reporting.quantities import percent_number

NUM_OPEN = 20
_MOST_CLASSES = 200
_MOST_VERSIONS = 12


@dataclass(frozen=True)
class ClassRow:
    """One class in a `ClassTable`.

    Attributes:
        name: The name of the class.
        num_images: Number of held-out images of the class on which the champion was evaluated. If
            the champion has not learned the class, the newest version that has learned the class
            replaces the champion here.
        cells: Accuracy of each version on the class; None if the version has no recorded accuracy
            on the class.
    """

    name: str
    num_images: int
    cells: Sequence[Cell | None]


@dataclass(frozen=True)
class ClassTable:
    """Table of the accuracies of the teachers or of the students: one row per class, one column per
    version.

    Attributes:
        versions: The versions in the columns, oldest first.
        rows: At most 200 classes, in ascending order of the champion's accuracy.
        num_more: Number of classes that the table omits because their accuracy is higher.
        least_hidden: The lowest accuracy on an omitted class; None if no class is omitted.
    """

    versions: Sequence[Version]
    rows: Sequence[ClassRow]
    num_more: int
    least_hidden: float | None


def class_table(history: History, role: Role) -> ClassTable | None:
    """Return a table with the accuracy of one role (teacher or student) on each class, for the
    latest champions and the newest version. Return None if no accuracies are recorded.
    """
    versions = shown_versions(history)
    if not versions:
        return None
    accuracies = [_by_name(version, role) for version in versions]
    newest: dict[str, tuple[float, int]] = {}
    for of_version in accuracies:
        newest |= of_version
    if history.champion is not None:
        newest |= _by_name(history.champion, role)
    names = sorted(newest, key=lambda name: newest[name])
    shown = names[:_MOST_CLASSES]
    rows = [
        ClassRow(
            name,
            newest[name][1],
            [
                _cell(of_version[name][0]) if name in of_version else None
                for of_version in accuracies
            ],
        )
        for name in shown
    ]
    hidden = names[_MOST_CLASSES:]
    return ClassTable(versions, rows, len(hidden), newest[hidden[0]][0] if hidden else None)


def shown_versions(history: History) -> list[Version]:
    """Return the versions that a class table shows: the newest version, and the latest versions
    that became champion. Versions without recorded accuracies are skipped.
    """
    reigned = list(dict.fromkeys(reign.version.student for reign in history.reigns))
    newest = [version.student for version in history.versions[-1:]]
    wanted = dict.fromkeys([*reigned, *newest])
    found = [
        version
        for version in history.versions
        if version.student in wanted and version.class_accuracies and version.classes
    ]
    return found[-_MOST_VERSIONS:]


def spread_lines(history: History, role: Role) -> list[Line]:
    """Return three chart lines over the successive champions: the accuracy on the median class, the
    tenth percentile of the accuracies on all classes, and the accuracy on the worst class.
    """
    points = [
        (version.student, sorted(share for share, _ in _by_name(version, role).values()))
        for version in shown_versions(history)
        if version.has_reigned
    ]
    points = [(student, shares) for student, shares in points if shares]
    if not points:
        return []
    return [
        Line("Median class", [(student, median(shares)) for student, shares in points]),
        Line(
            "Tenth percentile", [(student, shares[len(shares) // 10]) for student, shares in points]
        ),
        Line("Worst class", [(student, shares[0]) for student, shares in points]),
    ]


def worst_class(version: Version, role: Role) -> tuple[str, float, int] | None:
    """Return the name of a version's worst class, the accuracy on that class, and the class's
    number of held-out images; None if the accuracies are not recorded.
    """
    of_version = _by_name(version, role)
    if not of_version:
        return None
    name = min(of_version, key=lambda label: of_version[label])
    return (name, *of_version[name])


def _by_name(version: Version, role: Role) -> dict[str, tuple[float, int]]:
    """Return a version's accuracy on each class and the class's number of held-out images, by class
    name. Classes without held-out images are omitted.
    """
    accuracies = version.class_accuracies
    if accuracies is None:
        return {}
    found = {}
    for label, (name, num_images) in enumerate(
        zip(version.classes, accuracies.num_images, strict=False)
    ):
        share = accuracies.accuracy(role, label)
        if share is not None:
            found[name] = (share, num_images)
    return found


def _cell(share: float) -> Cell:
    colours = accuracy_colours(share)
    return Cell(percent_number(share), colours.background, colours.text)
