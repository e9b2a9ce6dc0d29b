"""Turn a scan of the source into findings for people, and into a plan for `orchestrator retrain`.

The plan decides whether a run learns, does nothing or refuses. Making a plan changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from orchestrator.config.retraining import Retraining
from orchestrator.config.scenario import Label
from orchestrator.retraining.lineage import Lineage, overlap, sketch
from orchestrator.retraining.scan import Scan

_RENAMED_FROM = 0.5
_MIN_LEARNED = 2  # minimum number of images of a class that are not held out
_MOST_NAMES = 5


class FindingKind(StrEnum):
    """Kinds of findings of a scan."""

    NEW_CLASSES = "new_classes"
    FEW_HELD_OUT = "few_held_out"
    WAITING_CLASSES = "waiting_classes"
    MORE_SAMPLES = "more_samples"
    CHANGED_FILES = "changed_files"
    VANISHED_FILES = "vanished_files"
    VANISHED_CLASSES = "vanished_classes"
    RENAMED_LABELS = "renamed_labels"
    SHIFT = "shift"
    REWRITTEN_FILES = "rewritten_files"
    UNSETTLED_FILES = "unsettled_files"
    QUARANTINED_FILES = "quarantined_files"
    AGREEMENT = "agreement"
    FAR_IMAGES = "far_images"
    CLASS_DRIFT = "class_drift"
    SILENT_FOLDER = "silent_folder"
    NOT_MONITORED = "not_monitored"


Reaction = Literal["learn", "refresh", "wait", "warn", "refuse"]


@dataclass(frozen=True)
class Finding:
    """A finding of a scan, and the reaction to the finding.

    Attributes:
        kind: Kind of finding.
        reaction: The configured reaction.
        message: Explanation for people, including the numbers of files or images.
        classes: Classes that the finding concerns.
    """

    kind: FindingKind
    reaction: Reaction
    message: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangePlan:
    """Plan of a tick (one run of `orchestrator retrain`).

    Attributes:
        findings: All findings.
        new_classes: Labels of the new classes, which are learned together as one task.
        refreshed: Known classes to learn again, because more images have arrived.
    """

    findings: Sequence[Finding]
    new_classes: tuple[Label, ...] = ()
    refreshed: tuple[str, ...] = ()

    @property
    def refusals(self) -> list[Finding]:
        """Return the findings that forbid learning."""
        return [finding for finding in self.findings if finding.reaction == "refuse"]

    @property
    def learns(self) -> bool:
        """Return whether there is anything to learn and no finding forbids learning."""
        waits = any(finding.kind == FindingKind.REWRITTEN_FILES for finding in self.findings)
        return not self.refusals and not waits and bool(self.new_classes or self.refreshed)


def plan_changes(
    found: Scan, lineage: Lineage, retraining: Retraining, shifts: Sequence[Finding] = ()
) -> ChangePlan:
    """Plan what a tick (one run of `orchestrator retrain`) does about the changes in the source.

    Args:
        found: Scan of the source.
        lineage: Lineage of the champion; empty without a champion.
        retraining: Configuration of the retraining, including the reactions to findings.
        shifts: Findings about known classes whose new images look different.
    """
    new, waiting = _new_classes(found, lineage, retraining)
    findings = [
        *_about_files(found, lineage, retraining),
        *_renamed(found, lineage, retraining),
        *shifts,
    ]
    if waiting:
        findings.append(_waiting_finding(waiting, retraining))
    if new and not (not lineage.tasks and len(new) < retraining.source.min_base_classes):
        counts = ", ".join(f"{label} ({_num_images(str(label), found)} images)" for label in new)
        findings.append(
            Finding(
                FindingKind.NEW_CLASSES,
                retraining.reactions.new_classes,
                f"new classes: {counts}",
                tuple(map(str, new)),
            )
        )
    else:
        if new:
            what = (
                f"{len(new)} of the {retraining.source.min_base_classes} classes of a first model"
                f" have arrived: {', '.join(map(str, new))}"
            )
            findings.append(
                Finding(FindingKind.WAITING_CLASSES, "wait", what, tuple(map(str, new)))
            )
        new = ()
    refreshed, about_samples = _more_samples(found, lineage, retraining)
    learned = new if retraining.reactions.new_classes == "learn" else ()
    return ChangePlan([*findings, *about_samples], learned, refreshed)


def _new_classes(
    found: Scan, lineage: Lineage, retraining: Retraining
) -> tuple[tuple[Label, ...], dict[str, int]]:
    """Return the unknown classes with enough images, numeric labels first, and the image counts of
    the other unknown classes.
    """
    counts = {
        label: _num_images(label, found) for label in _labels(found) if label not in lineage.classes
    }
    held_out = found.num_held_out(retraining.source.held_out_fraction)
    unknown = {it for file in found.kept if file.num_held_out is None for it in file.num_images}
    enough = [
        label
        for label, num in counts.items()
        if num >= retraining.source.min_images_per_class
        and (
            label in unknown
            or (held_out.get(label, 0) > 0 and num - held_out[label] >= _MIN_LEARNED)
        )
    ]
    integers = all(file.integer_labels for file in found.new) and all(
        isinstance(label, int) for task in lineage.tasks for label in task
    )
    ordered = sorted(
        enough, key=lambda label: (0, int(label), "") if label.isdecimal() else (1, 0, label)
    )
    labels: tuple[Label, ...] = tuple(int(label) if integers else label for label in ordered)
    return labels, {label: num for label, num in counts.items() if label not in enough}


def _waiting_finding(waiting: dict[str, int], retraining: Retraining) -> Finding:
    counts = ", ".join(f"{label} ({num})" for label, num in waiting.items())
    what = (
        f"classes with fewer than {retraining.source.min_images_per_class} images, or without"
        f" held-out images, wait for more: {counts}"
    )
    return Finding(FindingKind.WAITING_CLASSES, "wait", what, tuple(waiting))


def _about_files(found: Scan, lineage: Lineage, retraining: Retraining) -> list[Finding]:
    reactions = retraining.reactions
    findings = []
    if found.rewritten:
        what = (
            f"{_files([file.name for file in found.rewritten])}, already learned from,"
            " are being rewritten: nothing is learned until they are complete"
        )
        findings.append(Finding(FindingKind.REWRITTEN_FILES, "wait", what))
    if found.unsettled:
        what = f"{_files(found.unsettled)} may still be growing: left for the next tick"
        findings.append(Finding(FindingKind.UNSETTLED_FILES, "wait", what))
    if found.quarantined:
        reasons = {file.reason for file in found.quarantined}
        what = (
            f"{_files([file.name for file in found.quarantined])} skipped until changed:"
            f" {'; '.join(sorted(reasons))}"
        )
        findings.append(Finding(FindingKind.QUARANTINED_FILES, "warn", what))
    if found.changed:
        what = (
            f"{_files([file.name for file in found.changed])} differ from what the champion learned"
            " from"
        )
        findings.append(Finding(FindingKind.CHANGED_FILES, reactions.changed_files, what))
    if found.vanished:
        lost = sum(sum(file.num_images.values()) for file in found.vanished)
        what = f"{_files([file.name for file in found.vanished])} with {lost} images are missing"
        findings.append(Finding(FindingKind.VANISHED_FILES, reactions.vanished_files, what))
    there = {
        label
        for file in (*found.kept, *found.rewritten)
        for label, num in file.num_images.items()
        if num and file.delivery <= lineage.deliveries.get(label, 0)
    }
    gone = tuple(label for label in lineage.classes if label not in there)
    if gone:
        what = f"all images of {len(gone)} known classes are missing: {_some(gone)}"
        findings.append(
            Finding(FindingKind.VANISHED_CLASSES, reactions.vanished_classes, what, gone)
        )
    return findings


def _renamed(found: Scan, lineage: Lineage, retraining: Retraining) -> list[Finding]:
    """Return findings about new labels whose images were learned under another label."""
    findings = []
    for label in sorted(set(found.new_images()) - set(lineage.classes)):
        own = sketch(digest for file in found.new for digest in file.digests.get(label, ()))
        for known, of_known in lineage.sketches.items():
            share = overlap(own, of_known)
            if share >= _RENAMED_FROM:
                what = (
                    f"{share:.0%} of the images labelled {label!r} were learned as {known!r}: a"
                    " renamed class, or wrong labels"
                )
                findings.append(
                    Finding(
                        FindingKind.RENAMED_LABELS,
                        retraining.reactions.renamed_labels,
                        what,
                        (known, label),
                    )
                )
    return findings


def _more_samples(
    found: Scan, lineage: Lineage, retraining: Retraining
) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the known classes to learn again, and a finding about the known classes for which more
    images have arrived.
    """
    reactions = retraining.reactions
    growth = {
        label: _num_images(label, found) - lineage.num_learned_from(label)
        for label in lineage.classes
    }
    grown = {label: num for label, num in growth.items() if num > 0 and label in found.new_images()}
    if not grown:
        return (), []
    counts = ", ".join(
        f"{label} (+{num} to {lineage.num_learned_from(label)})" for label, num in grown.items()
    )
    what = f"more images of known classes: {counts}"
    if reactions.more_samples != "refresh":
        return (), [Finding(FindingKind.MORE_SAMPLES, reactions.more_samples, what, tuple(grown))]
    if found.vanished or found.changed:
        what += "; not refreshed: files that the champion learned from are missing or changed"
        return (), [Finding(FindingKind.MORE_SAMPLES, "warn", what, tuple(grown))]
    enough = tuple(
        label
        for label, num in grown.items()
        if num >= reactions.min_refresh_fraction * lineage.num_learned_from(label)
    )
    if not enough:
        what += (
            "; a class is learned again once it has"
            f" {reactions.min_refresh_fraction:.0%} more images"
        )
        return (), [Finding(FindingKind.MORE_SAMPLES, "wait", what, tuple(grown))]
    return enough, [Finding(FindingKind.MORE_SAMPLES, "refresh", what, enough)]


def _labels(found: Scan) -> list[str]:
    """Return the distinct labels of all present files."""
    return list(
        dict.fromkeys(
            [*(label for file in found.kept for label in file.num_images), *found.new_images()]
        )
    )


def _num_images(label: str, found: Scan) -> int:
    """Count a class's images in all present files, both new and already known."""
    return sum(file.num_images.get(label, 0) for file in found.kept) + found.new_images().get(
        label, 0
    )


def _files(names: Sequence[str]) -> str:
    return f"{len(names)} file{'s' if len(names) > 1 else ''} ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
